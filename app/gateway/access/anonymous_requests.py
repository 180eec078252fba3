"""Limits requests that need no credential by the address that they come from; never probes and metrics."""

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.gateway.access.rate_limits import RateLimits
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.provided import provided
from app.gateway.http.request_context import address_of

# Seconds, and how many requests wait at the same time.
REFUSAL_DELAY = 1.0
MAX_DELAYED = 100


async def check_anonymous(request: Request) -> None:
    """Count a request of its address, once; raises `ProblemError` 429 for one too many."""
    if getattr(request.state, "is_counted", False):
        return
    request.state.is_counted = True
    try:
        await provided(request, RateLimits).check_anonymous(address_of(request))
    except ProblemError:
        await _refusals.delay()
        raise


class _Refusals:
    """Lets those wait who were refused, or refusing a client that comes again at once would be all we do."""

    def __init__(self) -> None:
        self._waiting = 0

    async def delay(self) -> None:
        """Wait, unless too many do."""
        if self._waiting >= MAX_DELAYED:
            return
        self._waiting += 1
        try:
            await asyncio.sleep(REFUSAL_DELAY)
        finally:
            self._waiting -= 1


_refusals = _Refusals()


class LimitedByAddress:
    """An application whose requests are counted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "http":
            await check_anonymous(Request(scope))
        await self._app(scope, receive, send)
