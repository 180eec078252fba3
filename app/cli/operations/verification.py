"""Verifies downloaded archives. A module of its own, because its imports take as long as a command."""

import asyncio
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from activities.export.storage import StorageError, open_store
from activities.export.verification import Fault, verify_archive
from app.cli.console import fail
from app.cli.exit_codes import ExitCode


def find_faults(path: Path, manifest_sha256: str | None) -> list[Fault]:
    """Return what is wrong with the archive in a folder or a tar; exits with 2 if it can't be read."""
    try:
        with unpacked(path.resolve()) as folder:
            store = open_store(folder.parent.as_uri())
            return asyncio.run(verify_archive(store, folder.name, manifest_sha256=manifest_sha256))
    except (OSError, StorageError, tarfile.TarError) as error:
        fail(f"{path} can't be read: {error}", ExitCode.INVALID)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield the folder with the files of the archive."""
    if path.is_dir():
        yield path
        return
    with TemporaryDirectory(prefix=f"{path.name}.", dir=path.parent) as folder, tarfile.open(path, "r:") as tar:
        # Refuses files outside of the folder.
        tar.extractall(folder, filter="data")
        yield Path(folder)
