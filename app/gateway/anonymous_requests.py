"""Limits requests that need no credential by the address that they come from; never probes and metrics."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.gateway.request_context import address_of
from app.gateway.services import services_of


async def check_anonymous(request: Request) -> None:
    """Count a request of its address, once; raises `ProblemError` 429 for one too many."""
    if getattr(request.state, "is_counted", False):
        return
    request.state.is_counted = True
    await services_of(request).rate_limits.check_anonymous(address_of(request))


class LimitedByAddress:
    """An application whose requests are counted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "http":
            await check_anonymous(Request(scope))
        await self._app(scope, receive, send)
