"""The wheel that the image installs."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from tests.deploy.chart import REPOSITORY

PACKAGES = ("app", "activities", "migrations", "workflows")


def files_in(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for package in PACKAGES
        for path in (folder / package).rglob("*")
        if path.is_file()
    }


def test_the_wheel_has_every_file_of_the_packages(tmp_path: Path) -> None:
    """Also templates, styles, scripts, blueprints."""
    source = tmp_path / "source"
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / name, source)
    expected = files_in(source)

    subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", source],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )

    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    assert "app/gateway/console/templates/operations/list.html" in expected
    assert sorted(expected - packed) == []
