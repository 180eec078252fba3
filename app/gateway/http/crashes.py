"""Middleware that turns unexpected errors into responses."""

from collections.abc import Callable

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.gateway.http.problems.problem import ProblemError, problem_response
from app.gateway.http.problems.request_problems import InternalError
from app.gateway.http.request_context import path_template
from app.gateway.http.streaming.streams import BrokenStreamError

log = structlog.get_logger(__name__)


class CrashMiddleware:
    """Logs an unexpected error and responds with a problem, which has no details."""

    def __init__(self, app: ASGIApp, respond: Callable[[Request, ProblemError], Response] = problem_response) -> None:
        self._app = app
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_response = False

        async def record_response(message: Message) -> None:
            nonlocal has_response
            has_response = True
            await send(message)

        try:
            await self._app(scope, receive, record_response)
        except ClientDisconnect:
            log.info("client disconnected before its request was complete", method=scope["method"])
        except BrokenStreamError as error:
            # The server closes the connection, because the body is incomplete.
            log.warning("a response has broken off", path=path_template(scope), reason=str(error))
        except Exception:
            log.exception("request crashed", method=scope["method"], path=path_template(scope))
            if not has_response:
                await self._respond(Request(scope), InternalError())(scope, receive, send)
