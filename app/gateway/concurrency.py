"""How many requests are worked on at once."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app import probes
from app.gateway.problems import ProblemError, problem_response

RETRY_AFTER = 1


class ConcurrencyLimit:
    """Answers 503 at once to what is too much, so that what is under way is finished in time.

    A request that waits (`Prefer: wait`) counts like any other: it holds a connection and memory. Probes don't, or a
    busy gateway would be restarted.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http" or scope["path"] in probes.PATHS:
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._most:
            problem = ProblemError(
                503,
                "overloaded",
                f"the gateway is working on {self._most} requests; try again",
                headers={"Retry-After": str(RETRY_AFTER)},
            )
            await problem_response(Request(scope), problem)(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1
