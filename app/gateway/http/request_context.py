"""Middleware around every request: its id, its log line, its metrics, and the headers of its response."""

import logging
import re
import time
from collections.abc import Mapping
from uuid import uuid4

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
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


def request_id_of(request: Request) -> str:
    """Return the id of the request: the client's if it is acceptable, else a generated one."""
    request_id: str = request.state.request_id
    return request_id


def caller_of(request: Request) -> Caller:
    """Return the caller that the route has authenticated."""
    caller: Caller = request.state.caller
    return caller


def address_of(request: Request) -> str | None:
    """Return the address of the client, as reported by trusted proxies."""
    return request.client.host if request.client is not None else None


def path_template(scope: Scope) -> str | None:
    """Return the path of the route, without values, or None if no route matched."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return path


def add_response_headers(request: Request, headers: Mapping[str, str]) -> None:
    """Add headers to the response, even if it becomes an error."""
    request.state.response_headers = {**getattr(request.state, "response_headers", {}), **headers}


class RequestContextMiddleware:
    """Sets the request id and the headers of every response. Counts and logs requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given_id = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = given_id if ACCEPTED_REQUEST_ID.fullmatch(given_id) else uuid4().hex
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
                raw += raw_headers(scope["state"].get("response_headers", {}))
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
            # Kubernetes probes every few seconds.
            log.log(
                logging.DEBUG if path in UNLOGGED else logging.INFO,
                "request",
                method=scope["method"],
                path=path,
                status=status,
                duration_ms=round(seconds * 1000, 1),
            )
