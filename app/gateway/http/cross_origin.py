"""Cross-origin requests (CORS). `CORS_ORIGINS` lists the origins that may send them."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.gateway.http.problems.problem import problem_response
from app.gateway.http.problems.request_problems import CorsRefusedError

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "X-API-Key",
    "X-Namespace",
    "X-On-Behalf-Of",
    "X-Request-ID",
    # Tracing of the page continues in ours.
    "traceparent",
    "tracestate",
)
RESPONSE_HEADERS = (
    "ETag",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
)


class CrossOrigin(CORSMiddleware):
    """Starlette's middleware with our lists. Credentials are not allowed, because the API uses no cookies."""

    def __init__(self, app: ASGIApp, origins: list[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            expose_headers=RESPONSE_HEADERS,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Return the response to a preflight request."""
        response = super().preflight_response(request_headers)
        return response if response.status_code == HTTPStatus.OK else _RejectedPreflight(response)


class _RejectedPreflight(Response):
    """Starlette's response in plain text as a problem document."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self._problem = CorsRefusedError(bytes(response.body).decode(), headers={"Vary": response.headers["Vary"]})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        await problem_response(Request(scope), self._problem)(scope, receive, send)
