"""Errors of the development stack."""

from pathlib import Path


class StackError(Exception):
    """A part of the development stack can't start or has ended; the message says which and why, with its log."""


class FolderLockedError(StackError):
    """A data folder is in use by another running instance, or by processes that one has left."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        owner = "processes of an instance that has ended" if pid is None else f"process {pid}"
        super().__init__(f"{folder} is in use by {owner}: stop that first, or choose another data folder")
        self.folder = folder
        self.pid = pid
