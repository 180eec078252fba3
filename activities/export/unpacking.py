"""Reads one part block by block, with memory that does not grow with the part, and hashes it before and after."""

import asyncio
import io
from collections.abc import AsyncGenerator, Callable, Iterator
from hashlib import sha256

from zstandard import ZstdDecompressor, ZstdError

from activities.export.archive import Part
from activities.export.packing import BLOCK
from activities.export.storage import ArchiveStore, FileReader

READ_SIZE = 128 << 10
# A part of ours needs a quarter of it. A made-up one can't take more memory.
MAX_WINDOW = 8 << 20


class PartDamagedError(Exception):
    """A part can't be decompressed; the message says why."""


class PartReader:
    """A part of an archive, whose description is complete after the last block."""

    def __init__(self, store: ArchiveStore, path: str) -> None:
        self._store = store
        self._path = path
        self._packed, self._content = sha256(), sha256()
        self._bytes = self._content_bytes = 0

    async def blocks(self) -> AsyncGenerator[bytes]:
        """Yield the content in blocks, of which the next is read while one is used.

        Raises `PartDamagedError`, and `NotStoredError` or `StorageError` if the file can't be read. After a damage
        the description of the compressed file is complete, too.
        """
        blocks = self._decompressed(await asyncio.to_thread(self._store.open, self._path))

        def read_on() -> asyncio.Task[bytes]:
            return asyncio.create_task(asyncio.to_thread(next, blocks, b""))

        ahead = read_on()
        try:
            while block := await ahead:
                ahead = read_on()
                yield block
        finally:
            # A thread can't be cancelled.
            await asyncio.wait({ahead})
            if not ahead.cancelled():
                ahead.exception()

    @property
    def part(self) -> Part:
        """What was read."""
        return Part(
            path=self._path,
            bytes=self._bytes,
            sha256=self._packed.hexdigest(),
            content_bytes=self._content_bytes,
            content_sha256=self._content.hexdigest(),
        )

    def _decompressed(self, file: FileReader) -> Iterator[bytes]:
        source = _Source(file, self._note)
        decompressor = ZstdDecompressor(max_window_size=MAX_WINDOW)
        try:
            for block in decompressor.read_to_iter(source, read_size=READ_SIZE, write_size=BLOCK):
                self._content.update(block)
                self._content_bytes += len(block)
                yield block
            source.drain()
        except ZstdError as error:
            source.drain()
            raise PartDamagedError(str(error)) from None

    def _note(self, packed: bytes) -> None:
        self._packed.update(packed)
        self._bytes += len(packed)


class _Source(io.BytesIO):
    """Lets the decompressor read a file, and takes note of what is read."""

    def __init__(self, file: FileReader, note: Callable[[bytes], None]) -> None:
        super().__init__()
        self._file, self._note = file, note

    def read(self, size: int | None = None, /) -> bytes:
        data = self._file.read(size or READ_SIZE)
        self._note(data)
        return data

    def drain(self) -> None:
        """Read what is left."""
        while self.read():
            pass
