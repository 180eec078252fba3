"""Temporary folders that a server running as another user can reach."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

DISK = Path("/var/tmp")  # noqa: S108 - folders in it have random names
MEMORY = Path("/dev/shm")  # noqa: S108 - the same
# Twice as much as the servers of all test processes write.
NEEDED_BYTES = 5 * 2**30
PREFIX = "alga-tenants-test-"
MAX_AGE_SECONDS = 24 * 3600


def fastest_place() -> Path:
    """Return memory if it has plenty of room, since databases are copied and removed there in a tenth of the time."""
    has_room = (
        MEMORY.is_dir() and min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) > NEEDED_BYTES
    )
    return MEMORY if has_room else DISK


@contextmanager
def reachable_folder(place: Path | None = None) -> Iterator[Path]:
    """Make a folder outside the home folders, through which other users may pass; remove it afterwards."""
    place = place or fastest_place()
    _remove_abandoned(place)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=place) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def _remove_abandoned(place: Path) -> None:
    """Remove folders of processes that were killed, because they may take up memory."""
    for folder in place.glob(f"{PREFIX}*"):
        # Another process may be removing it.
        with suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > MAX_AGE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
