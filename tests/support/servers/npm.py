"""Packages of npm, as a lock file pins them."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.servers.program import need_program

INSTALLATION_TIMEOUT = 300.0


def install_packages(source: Path, folder: Path) -> Path:
    """Install the packages of the lock file in `source` into a folder, and return where they are."""
    for name in (".npmrc", "package.json", "package-lock.json"):
        shutil.copy(source / name, folder)
    installed = subprocess.run(  # noqa: S603 - an installed program
        [need_program("npm"), "ci"],
        cwd=folder,
        # The other tests trust an authority of theirs alone.
        env={name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"},
        capture_output=True,
        text=True,
        timeout=INSTALLATION_TIMEOUT,
        check=False,
    )
    assert installed.returncode == 0, installed.stderr
    return folder / "node_modules"
