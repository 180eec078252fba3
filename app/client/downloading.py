"""Downloads of archives into folders: what both clients do besides sending requests."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import UUID

import httpx
from pydantic import ValidationError

from app.client.calls.exports import ArchivedPart, Manifest, export_part
from app.client.calls.tenants import Call
from app.client.errors import ArgumentError, DamagedDownloadError, FileError, UnexpectedResponseError

MANIFEST = "manifest.json"
PARTS = "parts"
# A manifest must not name files elsewhere.
PART_PATH = re.compile(rf"{PARTS}/[A-Za-z0-9_-][A-Za-z0-9_.-]*")

# Gets the bytes so far, and those of all parts.
Notify = Callable[[int, int], None]


@dataclass(frozen=True)
class PartDownload:
    """A part on its way into a file, which gets its name once it is whole."""

    export_id: UUID | str
    table: str
    part: ArchivedPart
    file: Path

    @property
    def partial(self) -> Path:
        """The file with the bytes so far."""
        return self.file.with_name(f"{self.file.name}.partial")

    @property
    def received(self) -> int:
        """The number of bytes so far."""
        return self.partial.stat().st_size if self.partial.exists() else 0

    @property
    def is_received(self) -> bool:
        """Whether no bytes are missing."""
        return self.received >= self.part.bytes

    def is_whole(self) -> bool:
        """Return whether an earlier download has completed the file."""
        return self.file.exists() and self._hash(self.file) == self.part.sha256

    def call(self) -> Call[httpx.Response]:
        """Return the call for the missing bytes."""
        return export_part(self.export_id, self.table, start=self.received, sha256=self.part.sha256)

    @contextmanager
    def open(self, response: httpx.Response) -> Iterator[IO[bytes]]:
        """Open the file at the place where the response continues.

        Raises `UnexpectedResponseError`, or `FileError` also if the block can't write.
        """
        if response.status_code == httpx.codes.OK:
            mode = "wb"
        elif response.headers.get("Content-Range", "").startswith(f"bytes {self.received}-"):
            mode = "ab"
        else:
            raise UnexpectedResponseError(f"the response does not continue {self.file.name}")
        with _file_errors(self.partial), self.partial.open(mode) as file:
            yield file

    def finish(self) -> None:
        """Give the file its name; remove it and raise `DamagedDownloadError` if it does not have its hash."""
        if self._hash(self.partial) != self.part.sha256:
            self.partial.unlink()
            raise DamagedDownloadError(f"{self.part.path} does not have the hash of the manifest and was removed")
        with _file_errors(self.file):
            self.partial.rename(self.file)

    @staticmethod
    def _hash(file: Path) -> str:
        with _file_errors(file), file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()


class Download:
    """The download of an archive into a folder; a second one continues where the first one ended.

    Raises `ArgumentError` if the folder holds another export or can't be written.
    """

    def __init__(self, export_id: UUID | str, folder: Path, manifest: bytes, notify: Notify | None) -> None:
        self.folder = folder
        self.parts = tuple(_parts(export_id, folder, manifest))
        self._notify = notify
        self._total = sum(part.part.bytes for part in self.parts)
        self._done = 0
        file = folder / MANIFEST
        try:
            if file.exists() and file.read_bytes() != manifest:
                raise ArgumentError(f"{folder} holds another export; name a new folder")
            (folder / PARTS).mkdir(mode=0o700, parents=True, exist_ok=True)
            file.write_bytes(manifest)
        except OSError as error:
            raise ArgumentError(f"{folder} can't be written: {error.strerror}") from None

    def show(self, part: PartDownload) -> None:
        """Report the progress, if that was requested."""
        if self._notify is not None:
            self._notify(self._done + part.received, self._total)

    def finish(self, part: PartDownload) -> None:
        """Count a part that is whole."""
        self._done += part.part.bytes
        self.show(part)


def next_attempt(attempt: int, part: PartDownload, before: int) -> int:
    """Return the number of a failed attempt, which is the first one again if it has received something."""
    return attempt if part.received <= before else 1


@contextmanager
def _file_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileError(f"{file} can't be used: {error.strerror}; a later download continues there") from None


def _parts(export_id: UUID | str, folder: Path, manifest: bytes) -> Iterator[PartDownload]:
    try:
        shown = Manifest.model_validate_json(manifest)
    except ValidationError:
        raise UnexpectedResponseError("the manifest is not one of an export") from None
    for table in shown.tables:
        if table.part is None:
            continue
        if PART_PATH.fullmatch(table.part.path) is None:
            raise DamagedDownloadError("the manifest names a file outside of the archive")
        yield PartDownload(export_id, table.name, table.part, folder / table.part.path)
