"""A process that attacks a gateway in one way, for the seconds in each line of its stdin.

`python -m bench.attacks.attacking ATTACK URL PATH KEY`: PATH is an operation's status, KEY a valid key for the
attacks that need one.
"""

import asyncio
import base64
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

TIMEOUT = 60.0
PIECE = 60_000
MAX_BODY = 250_000
MEBIBYTE = 2**20
STREAMS = 1005
CONNECTIONS = 3000


@dataclass(frozen=True)
class Target:
    """What is attacked, and what the attacker knows."""

    url: str
    path: str
    key: str
    seconds: float

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0

    @property
    def events(self) -> str:
        """The path of the operation's events."""
        return f"/operations/{self.path.split('/')[2]}/events"


Attack = Callable[[Target, Counter[str]], Awaitable[None]]


async def trailers(target: Target, seen: Counter[str]) -> None:
    """Send endless trailer lines, without a key."""
    head = b"POST /tenants HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    await _at_once(20, target, seen, lambda: _sent(target, head, b"X-Trailer: x\r\n" * (PIECE // 14), seen))


async def trailer(target: Target, seen: Counter[str]) -> None:
    """Send one endless trailer, without a key."""
    head = b"POST /tenants HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: "
    await _at_once(20, target, seen, lambda: _sent(target, head, b"x" * PIECE, seen))


async def bodies(target: Target, seen: Counter[str]) -> None:
    """Send bodies that are slow to validate, four at a time, with a key."""
    payloads = [{"metadata": {"encoding": "YQ=="}, "data": ""}] * 1000
    data = base64.b64encode(b"x" * (2 * MEBIBYTE)).decode()
    sent = [
        ("/tenants", json.dumps({f"f{place}": 1 for place in range(MAX_BODY // 13)})),
        ("/tenants", json.dumps({f"f{place}": 1 for place in range(190)})),
        ("/api-keys", json.dumps({"name": "x", "scopes": ["nonsense"] * 190})),
        ("/codec/decode", json.dumps({"payloads": payloads})),
        ("/codec/decode", json.dumps({"payloads": [{"data": data}]})),
        ("/codec/decode", json.dumps({"payloads": [{}] * (MEBIBYTE // 2)})),
    ]
    async with _client(target) as http:

        async def send_each() -> None:
            for path, body in sent:
                response = await http.post(path, content=body, headers={"Content-Type": "application/json"})
                seen[str(response.status_code)] += 1

        await _at_once(4, target, seen, send_each)


async def streams(target: Target, seen: Counter[str]) -> None:
    """Open event streams and hold them, with a key."""
    async with _client(target) as http, contextlib.AsyncExitStack() as stack:
        until = time.monotonic() + target.seconds
        for _ in range(STREAMS):
            response = await stack.enter_async_context(http.stream("GET", target.events))
            seen[str(response.status_code)] += 1
            if response.is_error:
                await response.aread()
        await asyncio.sleep(max(0.0, until - time.monotonic()))


async def documents(target: Target, seen: Counter[str]) -> None:
    """Request the OpenAPI document without reading it, as often as one connection may, without a key."""
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 100
    await _at_once(20, target, seen, lambda: _sent(target, asked, b"", seen))


async def connections(target: Target, seen: Counter[str]) -> None:
    """Hold connections with incomplete headers, without a key."""
    held: list[asyncio.StreamWriter] = []
    until = time.monotonic() + target.seconds
    while len(held) < CONNECTIONS and time.monotonic() < until:
        try:
            _, writer = await asyncio.open_connection(*target.address)
            writer.write(b"GET /livez HTTP/1.1\r\nX: " + b"x" * 30_000)
        except OSError:
            seen["refused"] += 1
            continue
        held.append(writer)
    seen["opened"] += len(held)
    await asyncio.sleep(max(0.0, until - time.monotonic()))
    for writer in held:
        writer.transport.abort()


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack for attack in (trailers, trailer, bodies, streams, documents, connections)
}


def _client(target: Target) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=target.url,
        timeout=TIMEOUT,
        headers={"X-API-Key": target.key},
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
    )


async def _at_once(number: int, target: Target, seen: Counter[str], act: Callable[[], Awaitable[None]]) -> None:
    until = time.monotonic() + target.seconds

    async def repeat() -> None:
        while time.monotonic() < until:
            try:
                await act()
            except (OSError, httpx.TransportError) as error:
                seen[type(error).__name__] += 1

    await asyncio.gather(*(repeat() for _ in range(number)))


async def _sent(target: Target, head: bytes, endless: bytes, seen: Counter[str]) -> None:
    """Send up to 20 MiB on one connection until the gateway closes it, and count the statuses received."""
    reader, writer = await asyncio.open_connection(*target.address)
    try:
        writer.write(head)
        for _ in range(20 * MEBIBYTE // len(endless) if endless else 0):
            if reader.at_eof() or writer.is_closing():
                break
            writer.write(endless)
            await writer.drain()
        received = await asyncio.wait_for(reader.read(), target.seconds)
        for part in received.split(b"HTTP/1.1 ")[1:]:
            seen[part[:3].decode()] += 1
    except TimeoutError:
        seen["held"] += 1
    finally:
        writer.transport.abort()


async def main(name: str, url: str, path: str, key: str) -> None:
    """Write for each line of seconds a line of JSON with the number of responses by status."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        seen: Counter[str] = Counter()
        await ATTACKS[name](Target(url, path, key, float(line)), seen)
        sys.stdout.write(json.dumps(seen) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
