"""Bounds how many requests and event streams are worked on at once, in all and for one caller."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app import probes
from app.gateway.problems import problem_response
from app.gateway.request_problems import OverloadedError, TooManyRequestsError, TooManyStreamsError

# A client that has as many streams as it may have gets another one when one of them ends.
STREAM_RETRY_AFTER = 10
# One caller may have one part in so many.
REQUEST_PARTS = 2
STREAM_PARTS = 5
# Bytes of bodies that are held at once. What is made of a body takes several times as much.
MAX_HELD_BYTES = 64 * 1024 * 1024
HELD_PARTS = 8
# A long request to create a tenant has half of it.
LARGE_BODY_BYTES = 16 * 1024

STATE_KEY = "slot"


class _Count:
    """What is in use of one resource, in all and by caller."""

    def __init__(self, limit: int, parts: int) -> None:
        self.limit = limit
        self.share = max(1, limit // parts)
        self.total = 0
        self._callers: Counter[str] = Counter()

    def add(self, caller: str | None, amount: int = 1) -> None:
        self.total += amount
        if caller is not None:
            self._callers[caller] += amount

    def assign(self, caller: str) -> None:
        """Count one that is in use already for a caller, who has become known."""
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
        """Whether the caller may have so many more."""
        return self._callers[caller] + amount <= self.share if caller in self._callers else amount <= self.share


class LargeBodies:
    """Lets requests with large bodies have half of the event loop's time at most, however many are sent."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """Wait for the turn of a request, unless its body is small; a pause of the same length follows each turn."""
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
    """The requests, streams and bytes of bodies that are in use."""

    def __init__(self, max_requests: int, max_streams: int) -> None:
        self.large_bodies = LargeBodies()
        self.requests = _Count(max_requests, REQUEST_PARTS)
        self.streams = _Count(max_streams, STREAM_PARTS)
        self.held = _Count(MAX_HELD_BYTES, HELD_PARTS)


class Slot:
    """One request's part of the slots; `release` gives back all that it has taken."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._count = slots.requests
        self._caller: str | None = None
        self._held = 0
        slots.requests.add(None)

    def assign(self, caller: str) -> None:
        """Count the request for its caller.

        Raises:
            ProblemError: 429, the caller has as many in progress as one may have.
        """
        if self._caller is not None:
            # A stream authenticates again now and then.
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
            ProblemError: 429, the caller has as many streams as one may have; 503, all have.
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
            ProblemError: 429, the caller's bodies hold as much memory as one caller's may; 503, all bodies do.
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
        """Return what is entered to work on a body of that size; see `LargeBodies`."""
        return self._slots.large_bodies.turn(size)

    def release(self) -> None:
        """Give everything back."""
        self._count.remove(self._caller)
        self._slots.held.remove(self._caller, self._held)


class ConcurrencyLimit:
    """Responds with 503 at once to what is too much, so that what is in progress is finished in time.

    A request that waits (`Prefer: wait`) counts like any other: it holds a connection and memory. Probes don't, or a
    busy gateway would be restarted.
    """

    def __init__(self, app: ASGIApp, slots: Slots) -> None:
        self._app = app
        self._slots = slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
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
    """The slot that the request was given."""
    slot: Slot = request.scope["state"][STATE_KEY]
    return slot
