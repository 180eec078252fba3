"""Compresses one part as it is streamed, and hashes it before and after."""

from hashlib import sha256

from zstandard import ZstdCompressor

from activities.export.archive import Part

# Equal contents have equal parts, because the compressor gets them in pieces of this size.
BLOCK = 1 << 20
LEVEL = 3


class Packer:
    """Takes the content of a part in blocks; only the last may have another size than `BLOCK`."""

    def __init__(self) -> None:
        self._compressor = ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=False).compressobj()
        self._content, self._packed = sha256(), sha256()
        self.content_bytes = 0
        self._bytes = 0

    def add(self, block: bytes) -> bytes:
        """Return what is to be written for a block, which may be nothing."""
        self._content.update(block)
        self.content_bytes += len(block)
        return self._noted(self._compressor.compress(block))

    def end(self) -> bytes:
        """Return what is to be written at the end."""
        return self._noted(self._compressor.flush())

    def part(self, path: str) -> Part:
        """Return the description of the finished part."""
        return Part(
            path=path,
            bytes=self._bytes,
            sha256=self._packed.hexdigest(),
            content_bytes=self.content_bytes,
            content_sha256=self._content.hexdigest(),
        )

    def _noted(self, packed: bytes) -> bytes:
        self._packed.update(packed)
        self._bytes += len(packed)
        return packed
