"""A proxy in front of PostgreSQL that counts transactions, statements and round trips."""

import asyncio
from collections.abc import Callable
from typing import Self

from app.embedded.processes.ports import LOOPBACK
from bench.wire import Transaction, Wire

CHUNK = 262_144


class CountingProxy:
    """Forwards connections to a port of this machine and counts; use it in an `async with` block."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._done: list[Transaction] = []
        self._server: asyncio.Server | None = None
        self._forwarding: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._forwarding:
            task.cancel()
        await asyncio.gather(*self._forwarding, return_exceptions=True)

    def take(self) -> list[Transaction]:
        """Return the transactions that ended since the last call."""
        done, self._done = self._done, []
        return done

    def _record(self, transaction: Transaction) -> None:
        self._done.append(transaction)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._forward(reader, writer))
        self._forwarding.add(task)
        task.add_done_callback(self._forwarding.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(LOOPBACK, self._target)
        wire = Wire(self._record)
        pumps = [
            asyncio.create_task(_pump(reader, there_writer, wire.sent)),
            asyncio.create_task(_pump(there_reader, writer, wire.received)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            writer.transport.abort()
            there_writer.transport.abort()
            await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, see: Callable[[bytes], None]) -> None:
    while data := await source.read(CHUNK):
        # Forwarded first, so that counting delays nothing.
        sink.write(data)
        see(data)
        await sink.drain()
