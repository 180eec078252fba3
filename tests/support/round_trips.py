"""A TCP proxy on loopback that counts how often a client waits for its server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

LOOPBACK = "127.0.0.1"
CHUNK = 65_536


class RoundTrips:
    """Counts round trips: everything that the client sends before the server responds belongs to one."""

    def __init__(self) -> None:
        self.count = 0
        self._waits = False

    def asked(self) -> None:
        """Record that the client has sent something."""
        if not self._waits:
            self.count += 1
        self._waits = True

    def responded(self) -> None:
        """Record that the server has sent something."""
        self._waits = False


@asynccontextmanager
async def counting_proxy(target: int) -> AsyncIterator[tuple[int, RoundTrips]]:
    """Forward to a port of this machine; yield the proxy's port and the count of all its connections."""
    trips = RoundTrips()
    forwarding: set[asyncio.Task[None]] = set()

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(LOOPBACK, target)
        for pump in (_pump(reader, there_writer, trips.asked), _pump(there_reader, writer, trips.responded)):
            forwarding.add(asyncio.create_task(pump))

    server = await asyncio.start_server(welcome, LOOPBACK, 0)
    try:
        yield server.sockets[0].getsockname()[1], trips
    finally:
        server.close()
        await asyncio.gather(*forwarding)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, note: Callable[[], None]) -> None:
    while data := await source.read(CHUNK):
        note()
        sink.write(data)
        await sink.drain()
    sink.close()
