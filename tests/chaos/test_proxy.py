import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.servers.proxy import LOOPBACK, Proxy

pytestmark = pytest.mark.anyio


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy for a server that echoes each line and says goodbye at the end."""
    server = await asyncio.start_server(_echo, LOOPBACK, 0)
    async with server, Proxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            writer.write(line)
            if line == b"quit\n":
                writer.write(b"goodbye\n")
                break
    except ConnectionResetError:
        writer.transport.abort()
    writer.close()


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def of(cls, proxy: Proxy) -> "Caller":
        return cls(*await asyncio.open_connection(LOOPBACK, proxy.port))

    async def ask(self, line: bytes) -> bytes:
        self.writer.write(line)
        return await self.reader.readline()


async def test_it_forwards_both_ways_until_the_end(proxy: Proxy) -> None:
    caller = await Caller.of(proxy)
    assert await caller.ask(b"one\n") == b"one\n"
    assert await caller.ask(b"quit\n") == b"quit\n"
    assert await caller.reader.read() == b"goodbye\n"
    caller.writer.close()


async def test_a_cut_resets_connections_and_allows_new_ones(proxy: Proxy) -> None:
    caller = await Caller.of(proxy)
    await caller.ask(b"one\n")
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await caller.ask(b"two\n")
    again = await Caller.of(proxy)
    assert await again.ask(b"three\n") == b"three\n"
    again.writer.close()


async def test_it_refuses_connections_until_it_accepts_them_again_on_the_same_port(proxy: Proxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await Caller.of(proxy)
    await proxy.accept()
    caller = await Caller.of(proxy)
    assert await caller.ask(b"one\n") == b"one\n"
    caller.writer.close()


async def test_data_sent_during_a_stall_arrives_after_it(proxy: Proxy) -> None:
    caller = await Caller.of(proxy)
    await caller.ask(b"one\n")
    proxy.stall()
    response = asyncio.create_task(caller.ask(b"two\n"))
    done, _ = await asyncio.wait({response}, timeout=0.2)
    assert not done
    proxy.flow()
    assert await response == b"two\n"
    caller.writer.close()


async def test_a_muted_server_receives_requests_and_a_cut_loses_its_responses(proxy: Proxy) -> None:
    caller = await Caller.of(proxy)
    await caller.ask(b"one\n")
    proxy.mute()
    response = asyncio.create_task(caller.ask(b"quit\n"))
    done, _ = await asyncio.wait({response}, timeout=0.2)
    assert not done
    proxy.cut()
    proxy.flow()
    with pytest.raises(ConnectionResetError):
        await response


async def test_it_disconnects_clients_of_an_absent_server() -> None:
    server = await asyncio.start_server(_echo, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with Proxy(port) as proxy:
        caller = await Caller.of(proxy)
        assert await caller.reader.read() == b""
        caller.writer.close()
