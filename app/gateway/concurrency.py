"""Bounds how many requests and event streams are worked on at once, in all and for one caller."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app import probes
from app.gateway.problems import ProblemError, problem_response

RETRY_AFTER = 1
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
            raise ProblemError(
                429,
                "too-many-requests",
                f"{requests.share} of your requests are in progress, which is the most for one caller; try again",
                headers={"Retry-After": str(RETRY_AFTER)},
            )
        requests.assign(caller)
        self._caller = caller

    def become_stream(self) -> None:
        """Count the request as a stream from now on.

        Raises:
            ProblemError: 429, the caller has as many streams as one may have; 503, all have.
        """
        streams = self._slots.streams
        headers = {"Retry-After": str(STREAM_RETRY_AFTER)}
        if self._caller is not None and not streams.has_share(self._caller):
            detail = f"you have {streams.share} event streams, which is the most for one caller; end one of them"
            raise ProblemError(429, "too-many-streams", detail, headers=headers)
        if streams.is_full():
            detail = f"the gateway has {streams.limit} event streams; try again"
            raise ProblemError(503, "overloaded", detail, headers=headers)
        self._count.remove(self._caller)
        self._count = streams
        streams.add(self._caller)

    def hold(self, size: int) -> None:
        """Count bytes of the request's body.

        Raises:
            ProblemError: 429, the caller's bodies hold as much memory as one caller's may; 503, all bodies do.
        """
        held = self._slots.held
        headers = {"Retry-After": str(RETRY_AFTER)}
        if self._caller is not None and not held.has_share(self._caller, size):
            detail = f"the bodies of your requests in progress are larger than {held.share} bytes together; try again"
            raise ProblemError(429, "too-many-requests", detail, headers=headers)
        if held.is_full(size):
            detail = "the bodies of requests in progress are too large together; try again"
            raise ProblemError(503, "overloaded", detail, headers=headers)
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
            problem = ProblemError(
                503,
                "overloaded",
                f"the gateway is working on {self._slots.requests.limit} requests; try again",
                headers={"Retry-After": str(RETRY_AFTER)},
            )
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
