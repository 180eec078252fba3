"""Connections to receivers: each goes to an address that was checked, whatever its name leads to a moment later."""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

import httpcore
from httpcore import SOCKET_OPTION, AsyncNetworkBackend, AsyncNetworkStream

from activities.webhooks.guard import Address, Guard

# For one address of several; the time of the whole request is limited elsewhere.
CONNECT_SECONDS = 5.0
MAX_ADDRESSES = 4
# Shorter than servers keep idle connections, so that none is used that the server is just closing.
KEEP_ALIVE_SECONDS = 1.0
# Threads that look up names. They are own ones, because a server that does not respond can block them for long.
MAX_LOOKUPS = 64
UNKNOWN_NAME = "the name of the host can't be resolved"


class NameNotFoundError(httpcore.ConnectError):
    """The host of a URL has no address, or its name server does not respond."""


class Connections:
    """Pools of connections with TLS and without; they use no proxy and follow no redirect."""

    def __init__(self, guard: Guard, *, size: int, context: ssl.SSLContext | None = None) -> None:
        self._lookups = ThreadPoolExecutor(MAX_LOOKUPS, thread_name_prefix="webhook-names")
        context = context or ssl.create_default_context()
        self._pools = {
            scheme: httpcore.AsyncConnectionPool(
                ssl_context=context,
                max_connections=size,
                keepalive_expiry=KEEP_ALIVE_SECONDS,
                network_backend=_GuardedBackend(guard, self._lookups, is_plain=scheme == b"http"),
            )
            for scheme in (b"https", b"http")
        }

    def pool(self, scheme: bytes) -> httpcore.AsyncConnectionPool:
        """Return the pool for URLs with this scheme."""
        return self._pools[scheme]

    async def aclose(self) -> None:
        """Close all connections, without waiting for lookups."""
        for pool in self._pools.values():
            await pool.aclose()
        self._lookups.shutdown(wait=False, cancel_futures=True)


class _GuardedBackend(AsyncNetworkBackend):
    """Looks a name up once, checks all its addresses, and connects to one of them. TLS verifies the name."""

    def __init__(self, guard: Guard, lookups: ThreadPoolExecutor, *, is_plain: bool) -> None:
        self._guard = guard
        self._lookups = lookups
        self._is_plain = is_plain
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109, ARG002 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        addresses = await self._look_up(host, port)
        self._guard.check_addresses(addresses, is_plain=self._is_plain)
        failure: Exception = NameNotFoundError(UNKNOWN_NAME)
        for address in addresses[:MAX_ADDRESSES]:
            try:
                return await self._network.connect_tcp(
                    str(address), port, CONNECT_SECONDS, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _look_up(self, host: str, port: int) -> list[Address]:
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self._lookups, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            )
        except (OSError, UnicodeError):
            raise NameNotFoundError(UNKNOWN_NAME) from None
        return list(dict.fromkeys(ip_address(place[0]) for *_, place in found))
