"""The memory of this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil

MEBIBYTE = 1024 * 1024
SAMPLE_SECONDS = 0.05


class Memory:
    """Watches this process; `growth` is the largest seen, in MiB, without what the process had before."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._before = self._process.memory_info().rss
        self.growth = 0.0

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Take note of the memory during the block, many times a second."""
        sampling = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            sampling.cancel()
            self._note()

    async def _sample(self) -> None:
        while True:
            self._note()
            await asyncio.sleep(SAMPLE_SECONDS)

    def _note(self) -> None:
        self.growth = max(self.growth, (self._process.memory_info().rss - self._before) / MEBIBYTE)
