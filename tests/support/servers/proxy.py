"""A TCP proxy on loopback that tests can disturb: it cuts, refuses or stalls connections."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"
CHUNK = 65_536
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards connections to a port of this machine; use it in an `async with` block.

    It keeps its port from construction to the end, even while it refuses connections. With `tls` it terminates TLS
    for a target without TLS; `overhear` gets everything that clients send.
    """

    def __init__(
        self, target: int, *, tls: ssl.SSLContext | None = None, overhear: Callable[[bytes], object] | None = None
    ) -> None:
        self._target = target
        self._tls = tls
        self._overhear = overhear
        # Keeps the port without listening, while listeners come and go.
        self._holder = _bound_socket(0)
        self.port: int = self._holder.getsockname()[1]
        self._listener: asyncio.Server | None = None
        self._streams: set[asyncio.StreamWriter] = set()
        self._forwarding: set[asyncio.Task[None]] = set()
        self._asking = asyncio.Event()
        self._answering = asyncio.Event()
        self.flow()

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flow()
        self.refuse()
        if self._forwarding:
            await asyncio.wait(self._forwarding)
        self._holder.close()

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._forwarding)

    async def accept(self) -> None:
        """Accept connections, as from the beginning."""
        if self._listener is None:
            self._listener = await asyncio.start_server(self._welcome, sock=_bound_socket(self.port), ssl=self._tls)

    def refuse(self) -> None:
        """Reset all connections and refuse new ones, like a machine without the server."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self) -> None:
        """Reset all connections, but accept new ones."""
        for stream in self._streams:
            if not stream.is_closing():
                stream.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
                stream.transport.abort()

    def stall(self) -> None:
        """Deliver nothing for now; connections stay open, and new ones are accepted."""
        self._asking.clear()
        self._answering.clear()

    def mute(self) -> None:
        """Hold back what the server sends; requests still reach it."""
        self._answering.clear()

    def flow(self) -> None:
        """Deliver what was held back, and everything from now on."""
        self._asking.set()
        self._answering.set()

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._forward(reader, writer))
        self._forwarding.add(task)
        task.add_done_callback(self._forwarding.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams.add(writer)
        try:
            await self._join(reader, writer)
        finally:
            writer.transport.abort()
            self._streams.discard(writer)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:
            return
        self._streams.add(there_writer)
        try:
            await asyncio.gather(
                _pump(reader, there_writer, self._asking, self._overhear),
                _pump(there_reader, writer, self._answering),
            )
        finally:
            there_writer.transport.abort()
            self._streams.discard(there_writer)


async def _pump(
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    gate: asyncio.Event,
    overhear: Callable[[bytes], object] | None = None,
) -> None:
    try:
        while data := await source.read(CHUNK):
            await gate.wait()
            if overhear is not None:
                overhear(data)
            sink.write(data)
            await sink.drain()
        # Delivers what is still in transit, such as a server's last message.
        sink.close()
        await sink.wait_closed()
    except OSError:
        sink.transport.abort()


def _bound_socket(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((LOOPBACK, port))
    return bound
