"""A copy of this checkout as a newcomer clones it, and their shell's environment."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.folders import DISK, reachable_folder

ROOT = Path(__file__).parents[2]
# What a shell has, and how packages are reached: no variables of `make`, of virtual environments and of tests.
SHELL = frozenset(
    {"HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "PYTHON", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "USER"}
)
PACKAGES = ("PIP_", "UV_")
PROXIES = frozenset({"http_proxy", "https_proxy", "no_proxy"})


def shell_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a new terminal."""
    return {
        name: value
        for name, value in environment.items()
        if name in SHELL or name.startswith(PACKAGES) or name.lower() in PROXIES
    } | {"TERM": "xterm-256color"}


@contextmanager
def cloned_checkout() -> Iterator[Path]:
    """Copy the files that git tracks, or would, to an empty folder, which is removed in the end."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607 - found by PATH
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.decode()
    with reachable_folder(DISK) as folder:
        clone = folder / "alga-tenants"
        for name in filter(None, listed.split("\0")):
            # A file that was removed but not committed is still listed.
            if (ROOT / name).is_file():
                (clone / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, clone / name)
        yield clone


def remove_data(clone: Path, environment: Mapping[str, str]) -> None:
    """Remove the data of the copy's `make run`."""
    python = clone / ".venv" / "bin" / "python"
    if python.exists():
        program = "from app.embedded.paths import remove_data_dir; remove_data_dir()"
        subprocess.run([python, "-c", program], cwd=clone, env=dict(environment), check=True)  # noqa: S603 - the copy


def current_environment() -> dict[str, str]:
    """Return the environment of this process at this moment."""
    return dict(os.environ)
