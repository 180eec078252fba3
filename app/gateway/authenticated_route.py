"""Routes that look at who calls before they look at what is sent."""

import email.message
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import structlog
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from app.gateway.database import database_errors
from app.gateway.problems import ProblemError
from app.gateway.services import services_of

# The longest valid request has a few KiB; a name that is far too long is still told to be so.
LARGEST_BODY = 2 * 1024 * 1024

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class BoundedRequest(Request):
    """A request whose body can't grow beyond bounds."""

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body in pieces; raises `ProblemError` once there is too much of it."""
        size = 0
        async for chunk in super().stream():
            size += len(chunk)
            if size > LARGEST_BODY:
                raise ProblemError(413, "body-too-large", f"the body is larger than {LARGEST_BODY} bytes")
            yield chunk


class AuthenticatedRoute(APIRoute):
    """Answers 401, 413 and 415 itself, before FastAPI reads the body; notes the caller in `request.state`."""

    def get_route_handler(self) -> Handler:
        """The handler with the checks before it."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def check_and_handle(request: Request) -> Response:
            await _authenticate(request)
            if not takes_body:
                return await handle(request)
            _check_content_type(request)
            bounded = BoundedRequest(request.scope, request.receive)
            # FastAPI takes any error of the reading for malformed JSON; what has been read it finds in the request.
            await bounded.body()
            return await handle(bounded)

        return check_and_handle


async def _authenticate(request: Request) -> None:
    with database_errors():
        caller = await services_of(request).authenticator.authenticate(request.headers)
    if caller is None:
        raise ProblemError(
            401,
            "unauthorized",
            "a valid API key is needed, as `Authorization: Bearer <key>` or `X-API-Key: <key>`",
            headers={"WWW-Authenticate": "Bearer"},
        )
    request.state.caller = caller
    structlog.contextvars.bind_contextvars(caller=caller.identity)


def _check_content_type(request: Request) -> None:
    given = request.headers.get("content-type")
    if given is None:
        has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
        if not has_body:
            return
    message = email.message.Message()
    message["content-type"] = given or "application/octet-stream"
    subtype = message.get_content_subtype()
    if message.get_content_maintype() != "application" or not (subtype == "json" or subtype.endswith("+json")):
        raise ProblemError(415, "unsupported-media-type", "the body must be sent as `Content-Type: application/json`")
