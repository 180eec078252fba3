"""What surrounds every request: its id, its line in the log, its answer's headers, and the answer to a crash."""

import logging
import re
import time
from collections.abc import Callable, Mapping
from uuid import uuid4

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.auth.callers import Caller
from app.gateway.http.server.security_headers import add_security_headers, raw_headers
from app.probes import PATHS as PROBE_PATHS
from app.telemetry.metrics import exposition
from app.telemetry.metrics.definitions import HTTP_REQUESTS_IN_PROGRESS
from app.telemetry.metrics.requests import count_request

REQUEST_ID_HEADER = "X-Request-ID"
RAW_REQUEST_ID_HEADER = REQUEST_ID_HEADER.lower().encode()
UNLOGGED = PROBE_PATHS | {exposition.PATH}
ACCEPTED_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

log = structlog.get_logger(__name__)

CrashResponse = Callable[[Request], Response]


def request_id_of(request: Request) -> str:
    """The id of the request: the caller's where it is acceptable, else one of ours."""
    request_id: str = request.state.request_id
    return request_id


def caller_of(request: Request) -> Caller:
    """Who was authenticated by the route."""
    caller: Caller = request.state.caller
    return caller


def address_of(request: Request) -> str | None:
    """Where the request came from, as the proxies that we trust say."""
    return request.client.host if request.client is not None else None


def add_answer_headers(request: Request, headers: Mapping[str, str]) -> None:
    """Let the answer have these headers, whatever answer it will be."""
    request.state.answer_headers = {**getattr(request.state, "answer_headers", {}), **headers}


class RequestContextMiddleware:
    """The outermost layer: every answer passes through it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status: int | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                raw = message.setdefault("headers", [])
                raw.append((RAW_REQUEST_ID_HEADER, request_id.encode()))
                raw += raw_headers(scope["state"].get("answer_headers", {}))
                add_security_headers(raw, scope["scheme"])
            await send(message)

        started = time.perf_counter()
        try:
            with HTTP_REQUESTS_IN_PROGRESS.track_inprogress():
                await self._app(scope, receive, send_with_headers)
        finally:
            path = path_template(scope)
            seconds = time.perf_counter() - started
            count_request(scope["method"], path, status, scope["state"].get("caller"), seconds)
            # Kubernetes asks every few seconds.
            log.log(
                logging.DEBUG if path in UNLOGGED else logging.INFO,
                "request",
                method=scope["method"],
                path=path,
                status=status,
                duration_ms=round(seconds * 1000, 1),
            )


class CrashMiddleware:
    """Nothing that happens inside leaves it as an exception."""

    def __init__(self, app: ASGIApp, crash_response: CrashResponse) -> None:
        self._app = app
        self._crash_response = crash_response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def note_start(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, note_start)
        except ClientDisconnect:
            log.info("client went away before its request was complete", method=scope["method"])
        except Exception:
            log.exception("request crashed", method=scope["method"], path=path_template(scope))
            if not has_begun:
                await self._crash_response(Request(scope))(scope, receive, send)


def _request_id(headers: Headers) -> str:
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if ACCEPTED_REQUEST_ID.fullmatch(given) else uuid4().hex


def path_template(scope: Scope) -> str | None:
    """The route's path, without the values in it; none where no route matched."""
    route = scope.get("route")
    path: str | None = getattr(route, "path", None)
    return path
