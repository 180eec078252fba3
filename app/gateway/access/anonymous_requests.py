"""Limits requests that need no credential, by address. Probes and metrics are not limited."""

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.gateway.access.rate_limits import RateLimits
from app.gateway.http.dependencies import find_service
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.request_context import address_of

# Seconds. Without a delay, rejecting a client that retries at once would take all of the gateway's time.
REJECTION_DELAY = 1.0
MAX_DELAYED = 100

_delayed = asyncio.Semaphore(MAX_DELAYED)


async def check_anonymous(request: Request) -> None:
    """Count a request, once; raise `ProblemError` 429 if its address has exceeded the limit."""
    if getattr(request.state, "is_counted", False):
        return
    request.state.is_counted = True
    try:
        await find_service(request, RateLimits).check_anonymous(address_of(request))
    except ProblemError:
        if not _delayed.locked():
            async with _delayed:
                await asyncio.sleep(REJECTION_DELAY)
        raise


class LimitedByAddress:
    """ASGI middleware that limits the requests to an application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or reject it."""
        if scope["type"] == "http":
            await check_anonymous(Request(scope))
        await self._app(scope, receive, send)
