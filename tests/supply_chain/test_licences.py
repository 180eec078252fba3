"""The licence check of `make licences`, with the settings in pyproject.toml."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BSD = "Classifier: License :: OSI Approved :: BSD License"


def check(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run pip-licenses on the packages installed here and in the folder."""
    return subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-m", "piplicenses", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(folder or "")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_installed_packages_have_an_allowed_licence() -> None:
    ran = check()
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("metadata", "allowed"),
    [
        ("License-Expression: MIT", True),
        ("License-Expression: MIT OR Apache-2.0", True),
        ("License: ISC License (ISCL)", True),
        (BSD, True),
        (f"{BSD}\nClassifier: License :: OSI Approved :: MIT License", True),
        ("License-Expression: GPL-3.0-only", False),
        ("License-Expression: MIT AND GPL-3.0-only", False),
        ("License-Expression: (MIT OR GPL-3.0-only) AND GPL-3.0-only", False),
        (f"{BSD}\nClassifier: License :: OSI Approved :: GNU General Public License (GPL)", False),
        ("Summary: No licence", False),
    ],
)
def test_a_package_passes_only_with_a_listed_licence(tmp_path: Path, metadata: str, *, allowed: bool) -> None:
    made = tmp_path / "stranger-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text(f"Metadata-Version: 2.4\nName: stranger\nVersion: 1.0\n{metadata}\n")
    ran = check("--packages", "stranger", folder=tmp_path)
    assert ran.returncode == (0 if allowed else 1), ran
    assert ("stranger:1.0" in ran.stderr) is not allowed
