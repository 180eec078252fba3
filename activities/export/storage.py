"""Where archives are stored: a folder, or an S3-compatible store."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from activities.errors import PassingError

if TYPE_CHECKING:
    from obstore.store import ObjectStore, RetryConfig

# A part of more is uploaded in pieces of this size, of which S3 takes 10,000.
PIECE = 8 << 20
CONCURRENT_PIECES = 2
READ_SIZE = 4 << 20
INTERACTIVE_RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
MAX_DETAIL = 400
STORAGE_UNAVAILABLE = "export-storage-unavailable"

log = structlog.get_logger(__name__)


class StorageError(PassingError):
    """The store could not do what was asked; the detail has what it said."""

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(STORAGE_UNAVAILABLE, f"the export storage failed at {path}: {detail}")


class NotStoredError(Exception):
    """The store has no such file."""


@dataclass(frozen=True)
class StoredFile:
    """A file of the store."""

    path: str
    size: int
    modified_at: datetime


class FileWriter(Protocol):
    """A file that is being written."""

    async def write(self, data: bytes, /) -> object:
        """Add to the file; returns when the store can take more."""


class ArchiveStore:
    """Files by their paths within the store; `root` is the folder, None for S3."""

    def __init__(self, store: "ObjectStore", root: Path | None) -> None:
        self._store = store
        self._root = root

    @asynccontextmanager
    async def write(self, path: str) -> AsyncIterator[FileWriter]:
        """Write a file, which exists only after the block ended without an error."""
        with _storage_errors(path):
            writer = obstore.open_writer_async(
                self._store, path, buffer_size=PIECE, max_concurrency=CONCURRENT_PIECES
            )
        try:
            yield _Writer(writer, path)
        except BaseException as error:
            await _abort(writer, path, error)
            raise
        with _storage_errors(path):
            await writer.close()

    async def persist(self, folder: str) -> None:
        """Make everything in the folder outlast a crash of the machine, as S3 does at once."""
        if self._root is not None:
            with _storage_errors(folder):
                await asyncio.to_thread(_sync, self._root / folder.strip("/"), self._root)

    async def read(
        self, path: str, start: int = 0, end: int | None = None, *, read_size: int = READ_SIZE
    ) -> AsyncGenerator[bytes]:
        """Yield the bytes from `start` to before `end`, so many at once; raise `NotStoredError`."""
        size = await self.size(path)
        end = size if end is None else min(end, size)
        # Each piece has a request of its own, so that a slow reader can't exceed the time of a request.
        for begin in range(start, end, read_size):
            with _storage_errors(path):
                piece = await obstore.get_range_async(self._store, path, start=begin, end=min(begin + read_size, end))
            yield bytes(piece)

    def open(self, path: str) -> "FileReader":
        """Return a reader, which blocks, for a thread; it raises `NotStoredError` if there is no such file."""
        with _storage_errors(path):
            return FileReader(obstore.open_reader(self._store, path, buffer_size=READ_SIZE), path)

    async def size(self, path: str) -> int:
        """Return the size of a file; raise `NotStoredError`."""
        with _storage_errors(path):
            return (await obstore.head_async(self._store, path))["size"]

    async def exists(self, path: str) -> bool:
        """Return whether there is such a file."""
        try:
            await self.size(path)
        except NotStoredError:
            return False
        return True

    async def list(self, prefix: str) -> tuple[StoredFile, ...]:
        """Return all files in the folder `prefix` and in its folders, by path; none if there is no such folder."""
        found: list[StoredFile] = []
        with _storage_errors(prefix):
            async for batch in obstore.list(self._store, prefix):
                found += [StoredFile(item["path"], item["size"], item["last_modified"]) for item in batch]
        return tuple(sorted(found, key=lambda file: file.path))

    async def delete_prefix(self, prefix: str) -> int:
        """Remove the folder with everything in it, and return the number of files."""
        prefix = prefix.strip("/")
        if not prefix:
            raise ValueError("the whole store can't be removed")
        paths = [file.path for file in await self.list(prefix)]
        with _storage_errors(prefix):
            if self._root is not None:
                # Files that a killed process left half written are not listed.
                await asyncio.to_thread(_remove, self._root / prefix, self._root)
            elif paths:
                await obstore.delete_async(self._store, paths)
        return len(paths)

    async def presign(self, path: str, seconds: int) -> str | None:
        """Return a URL from which anyone can read the file for some time; None for a folder."""
        if not isinstance(self._store, S3Store):
            return None
        with _storage_errors(path):
            return await obstore.sign_async(self._store, "GET", path, timedelta(seconds=seconds))


@dataclass(frozen=True)
class FileReader:
    """A file that is read from its beginning; a call may block."""

    reader: Any
    path: str

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        with _storage_errors(self.path):
            return bytes(self.reader.read(size))


@dataclass(frozen=True)
class _Writer:
    """Reports the store's errors apart from those of the block that writes."""

    writer: FileWriter
    path: str

    async def write(self, data: bytes, /) -> None:
        with _storage_errors(self.path):
            await self.writer.write(data)


def open_store(
    url: str, *, s3_options: Mapping[str, str] | None = None, is_interactive: bool = False
) -> ArchiveStore:
    """Return the store at `file:///folder` or `s3://bucket/prefix`; raise `ValueError` if the URL is another one.

    A missing folder is made, for this user only. `s3_options` are variables `AWS_…` in lower case; they replace those
    of the environment. With `is_interactive`, an outage is an error within seconds.
    """
    parts = urlsplit(url)
    place = unquote(parts.path).strip("/")
    is_plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme == "file" and is_plain and parts.hostname in {None, "localhost"} and place:
        root = Path("/", place)
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            return ArchiveStore(LocalStore(root), root)
        except (OSError, BaseError) as error:
            raise StorageError(str(root), _detail(error)) from None
    if parts.scheme == "s3" and is_plain and parts.netloc:
        # Options for the client would replace what the environment says about it; its types know no other way.
        config: Any = dict(s3_options or {})
        retries = INTERACTIVE_RETRIES if is_interactive else None
        try:
            store = S3Store(parts.netloc, prefix=place or None, config=config, retry_config=retries)
        except BaseError as error:
            raise StorageError(url, _detail(error)) from None
        return ArchiveStore(store, None)
    raise ValueError("an export storage is file:///folder or s3://bucket/prefix, without query and credentials")


@contextmanager
def _storage_errors(path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise StorageError(path, "the bucket does not exist") from None
        raise NotStoredError(path) from None
    except (BaseError, OSError) as error:
        raise StorageError(path, _detail(error)) from None


async def _abort(writer: Any, path: str, error: BaseException) -> None:
    """End an upload, so that the store keeps nothing of it."""
    try:
        with _storage_errors(path):
            await writer.__aexit__(type(error), error, error.__traceback__)
    except (StorageError, NotStoredError) as failure:
        log.warning("a broken upload was left behind", path=path, error=str(failure))


def _detail(error: Exception) -> str:
    """Return the first line without parameters of URLs, because the others repeat it at length.

    Of a document that the store sent, only code and message are kept, because it may repeat credentials.
    """
    first, *_ = str(error).splitlines() or [type(error).__name__]
    said, *document = re.sub(r"\?\S+", "", first).split(": <", 1)
    if document:
        found = re.search(r"<Code>([^<]*)</Code>(?:\s*<Message>([^<]*)</Message>)?", str(error))
        said = ": ".join([said, *filter(None, found.groups() if found is not None else ())])
    return said[:MAX_DETAIL]


def _sync(folder: Path, root: Path) -> None:
    for path in (*folder.rglob("*"), folder, *folder.parents):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if path == root:
            break


def _remove(folder: Path, root: Path) -> None:
    """Remove a folder, and its parents that are empty then. Another process may do the same at this time."""
    while folder.exists():
        # A file that is gone already ends `rmtree`, with others still there.
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
    for parent in folder.parents:
        if parent == root:
            break
        try:
            parent.rmdir()
        except OSError:
            # It holds other exports, or is gone.
            break
