"""What can go wrong while the development stack starts."""

from pathlib import Path


class StartError(Exception):
    """A part of the development stack did not start; the message says which, why, and what its log says."""


class FolderLockedError(StartError):
    """A data folder is in use by another running instance, or by processes that one has left."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        owner = "processes of an instance that has ended" if pid is None else f"process {pid}"
        super().__init__(f"{folder} is in use by {owner}: stop that first, or choose another data folder")
        self.folder = folder
        self.pid = pid
