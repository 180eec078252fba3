"""Limits concurrent requests, event streams, downloads and bytes of bodies, in total and per caller."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app import probes
from app.gateway.http.problems.problem import problem_response
from app.gateway.http.problems.request_problems import (
    STREAM_RETRY_AFTER,
    LimitExceededError,
    OverloadedError,
    TooManyDownloadsError,
    TooManyRequestsError,
    TooManyStreamsError,
)

# The limit per caller is the total limit divided by these.
REQUEST_SHARES = 2
STREAM_SHARES = 5
BODY_SHARES = 8
# Each holds a few MiB.
MAX_DOWNLOADS = 100
# Bytes of all bodies in memory. A parsed body takes several times its size.
MAX_BODY_MEMORY = 64 * 1024 * 1024
# Twice the size of a long request to create a tenant.
LARGE_BODY_BYTES = 16 * 1024

STATE_KEY = "slot"


class _Usage:
    """The usage of one resource, in total and per caller."""

    def __init__(self, limit: int, shares: int) -> None:
        self.limit = limit
        self.share = max(1, limit // shares)
        self.total = 0
        self.callers: Counter[str] = Counter()

    def add(self, caller: str | None, amount: int = 1) -> None:
        self.total += amount
        if caller is not None:
            self.callers[caller] += amount

    def remove(self, caller: str | None, amount: int = 1) -> None:
        self.total -= amount
        if caller is not None:
            self.callers[caller] -= amount
            if self.callers[caller] <= 0:
                del self.callers[caller]

    def is_full(self, amount: int = 1) -> bool:
        return self.total + amount > self.limit

    def is_share_full(self, caller: str | None, amount: int = 1) -> bool:
        return caller is not None and self.callers.get(caller, 0) + amount > self.share


class Slots:
    """The usage of requests, streams, downloads, bytes of bodies, and of the event loop by large bodies."""

    def __init__(self, max_requests: int, max_streams: int) -> None:
        self.requests = _Usage(max_requests, REQUEST_SHARES)
        self.streams = _Usage(max_streams, STREAM_SHARES)
        self.downloads = _Usage(MAX_DOWNLOADS, STREAM_SHARES)
        self.held = _Usage(MAX_BODY_MEMORY, BODY_SHARES)
        self._large_body_lock = asyncio.Lock()

    @asynccontextmanager
    async def large_body(self, size: int) -> AsyncIterator[None]:
        """Wait for a turn if the body is large.

        A pause of the same length follows each turn, so that large bodies take at most half of the event loop's time.
        """
        if size <= LARGE_BODY_BYTES:
            yield
            return
        await self._large_body_lock.acquire()
        started = time.perf_counter()
        try:
            yield
        finally:
            asyncio.get_running_loop().call_later(time.perf_counter() - started, self._large_body_lock.release)


class Slot:
    """The usage of one request, until `release`."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self._count = slots.requests
        self._caller: str | None = None
        self._held = 0
        slots.requests.add(None)

    def assign(self, caller: str) -> None:
        """Count the request for its caller; raise `TooManyRequestsError` if the caller has used up its share."""
        if self._caller is not None:
            # Event streams re-authenticate.
            return
        requests = self.slots.requests
        if requests.is_share_full(caller):
            raise TooManyRequestsError(
                f"You have {requests.share} requests in progress, the limit per caller; retry later"
            )
        requests.callers[caller] += 1
        self._caller = caller

    def become_stream(self) -> None:
        """Count the request as a stream; raise `TooManyStreamsError` or `OverloadedError` at a limit."""
        self._become(self.slots.streams, "event streams", TooManyStreamsError)

    def become_download(self) -> None:
        """Count the request as a download; raise `TooManyDownloadsError` or `OverloadedError` at a limit."""
        self._become(self.slots.downloads, "downloads in progress", TooManyDownloadsError)

    def _become(self, usage: _Usage, name: str, too_many: type[LimitExceededError]) -> None:
        if usage.is_share_full(self._caller):
            raise too_many(usage.share)
        if usage.is_full():
            detail = f"The gateway has {usage.limit} {name}; retry later"
            raise OverloadedError(detail, retry_after=STREAM_RETRY_AFTER)
        self._count.remove(self._caller)
        self._count = usage
        usage.add(self._caller)

    def hold(self, size: int) -> None:
        """Count bytes of the request's body; raise `TooManyRequestsError` or `OverloadedError` at a limit."""
        held = self.slots.held
        if held.is_share_full(self._caller, size):
            raise TooManyRequestsError(
                f"Bodies of your requests in progress exceed {held.share} bytes, the limit per caller; retry later"
            )
        if held.is_full(size):
            raise OverloadedError(f"Bodies of all requests in progress exceed {held.limit} bytes; retry later")
        held.add(self._caller, size)
        self._held += size

    def release(self) -> None:
        """End the usage."""
        self._count.remove(self._caller)
        self.slots.held.remove(self._caller, self._held)


class ConcurrencyLimit:
    """Rejects requests over the limit with a 503, so that those in progress finish in time.

    Requests that wait (`Prefer: wait`) count as well. Probes don't count, or a busy gateway would be restarted.
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
