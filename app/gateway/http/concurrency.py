"""Limits concurrent requests, event streams and bytes of bodies, in total and per caller."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app import probes
from app.gateway.http.problems.problem import problem_response
from app.gateway.http.problems.request_problems import OverloadedError, TooManyRequestsError, TooManyStreamsError

# A slot for a stream becomes free only when another stream ends.
STREAM_RETRY_AFTER = 10
# The share of one caller is the limit divided by these.
REQUEST_SHARES = 2
STREAM_SHARES = 5
# Bytes of all bodies in memory. A parsed body takes several times its size.
MAX_BODY_MEMORY = 64 * 1024 * 1024
BODY_SHARES = 8
# Twice the size of a long request to create a tenant.
LARGE_BODY_BYTES = 16 * 1024

STATE_KEY = "slot"


class _Usage:
    """The usage of one resource, in total and per caller."""

    def __init__(self, limit: int, shares: int) -> None:
        self.limit = limit
        self.share = max(1, limit // shares)
        self.total = 0
        self._callers: Counter[str] = Counter()

    def add(self, caller: str | None, amount: int = 1) -> None:
        self.total += amount
        if caller is not None:
            self._callers[caller] += amount

    def assign(self, caller: str) -> None:
        """Attribute a unit that is already counted to its caller."""
        self._callers[caller] += 1

    def remove(self, caller: str | None, amount: int = 1) -> None:
        self.total -= amount
        if caller is not None:
            self._callers[caller] -= amount
            if self._callers[caller] <= 0:
                del self._callers[caller]

    def is_full(self, amount: int = 1) -> bool:
        return self.total + amount > self.limit

    def has_share(self, caller: str, amount: int = 1) -> bool:
        """Return whether the caller may use that much more."""
        return self._callers[caller] + amount <= self.share if caller in self._callers else amount <= self.share


class LargeBodies:
    """Gives requests with large bodies at most half of the event loop's time, however many there are."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """Wait for the request's turn if its body is large. A pause of the same length follows each turn."""
        if size <= LARGE_BODY_BYTES:
            yield
            return
        await self._turn.acquire()
        started = time.perf_counter()
        try:
            yield
        finally:
            asyncio.get_running_loop().call_later(time.perf_counter() - started, self._turn.release)


class Slots:
    """The usage of requests, streams and bytes of bodies."""

    def __init__(self, max_requests: int, max_streams: int) -> None:
        self.large_bodies = LargeBodies()
        self.requests = _Usage(max_requests, REQUEST_SHARES)
        self.streams = _Usage(max_streams, STREAM_SHARES)
        self.held = _Usage(MAX_BODY_MEMORY, BODY_SHARES)


class Slot:
    """The usage of one request, until `release`."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._count = slots.requests
        self._caller: str | None = None
        self._held = 0
        slots.requests.add(None)

    def assign(self, caller: str) -> None:
        """Count the request for its caller.

        Raises:
            TooManyRequestsError: the caller has used up its share.
        """
        if self._caller is not None:
            # Event streams re-authenticate.
            return
        requests = self._slots.requests
        if not requests.has_share(caller):
            raise TooManyRequestsError(
                f"You have {requests.share} requests in progress, the limit per caller; retry later"
            )
        requests.assign(caller)
        self._caller = caller

    def become_stream(self) -> None:
        """Count the request as a stream from now on.

        Raises:
            TooManyStreamsError: the caller has used up its share.
            OverloadedError: the gateway is at its limit.
        """
        streams = self._slots.streams
        if self._caller is not None and not streams.has_share(self._caller):
            raise TooManyStreamsError(streams.share, STREAM_RETRY_AFTER)
        if streams.is_full():
            detail = f"The gateway has {streams.limit} event streams; retry later"
            raise OverloadedError(detail, retry_after=STREAM_RETRY_AFTER)
        self._count.remove(self._caller)
        self._count = streams
        streams.add(self._caller)

    def hold(self, size: int) -> None:
        """Count bytes of the request's body.

        Raises:
            TooManyRequestsError: the caller has used up its share.
            OverloadedError: the gateway is at its limit.
        """
        held = self._slots.held
        if self._caller is not None and not held.has_share(self._caller, size):
            raise TooManyRequestsError(
                f"Bodies of your requests in progress exceed {held.share} bytes, the limit per caller; retry later"
            )
        if held.is_full(size):
            raise OverloadedError(f"Bodies of all requests in progress exceed {held.limit} bytes; retry later")
        held.add(self._caller, size)
        self._held += size

    def large_body(self, size: int) -> AbstractAsyncContextManager[None]:
        """Return the context in which a body of that size is processed; see `LargeBodies`."""
        return self._slots.large_bodies.turn(size)

    def release(self) -> None:
        """End the usage."""
        self._count.remove(self._caller)
        self._slots.held.remove(self._caller, self._held)


class ConcurrencyLimit:
    """Rejects requests over the limit at once with a 503, so that those in progress finish in time.

    Waiting requests (`Prefer: wait`) count, because they hold a connection and memory. Probes don't, or a
    busy gateway would be restarted.
    """

    def __init__(self, app: ASGIApp, slots: Slots) -> None:
        self._app = app
        self._slots = slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or reject one request."""
        if scope["type"] != "http" or scope["path"] in probes.PATHS:
            await self._app(scope, receive, send)
            return
        if self._slots.requests.is_full():
            limit = self._slots.requests.limit
            problem = OverloadedError(f"The gateway has {limit} requests in progress; retry later")
            await problem_response(Request(scope), problem)(scope, receive, send)
            return
        slot = Slot(self._slots)
        scope["state"][STATE_KEY] = slot
        try:
            await self._app(scope, receive, send)
        finally:
            slot.release()


def slot_of(request: Request) -> Slot:
    """Return the slot of a request."""
    slot: Slot = request.scope["state"][STATE_KEY]
    return slot
