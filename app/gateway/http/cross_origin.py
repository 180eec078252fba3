"""Pages of other origins that may call the gateway (CORS); none unless `CORS_ORIGINS` names them."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.gateway.http.problems.problem import problem_response
from app.gateway.http.problems.request_problems import CorsRefusedError

METHODS = ("GET", "POST", "PATCH", "DELETE")
REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Prefer",
    "X-API-Key",
    "X-Namespace",
    "X-On-Behalf-Of",
    "X-Request-ID",
)
ANSWER_HEADERS = (
    "ETag",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
)


class CrossOrigin(CORSMiddleware):
    """Starlette's middleware with our lists; without credentials, because no cookie means anything to us."""

    def __init__(self, app: ASGIApp, origins: list[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            expose_headers=ANSWER_HEADERS,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a browser that asks whether it may ask."""
        answer = super().preflight_response(request_headers)
        return answer if answer.status_code == HTTPStatus.OK else _Refusal(answer)


class _Refusal(Response):
    """Says as a problem document what Starlette says as text."""

    def __init__(self, answer: Response) -> None:
        super().__init__(status_code=answer.status_code)
        self._detail = bytes(answer.body).decode()
        self._vary = answer.headers["Vary"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        problem = CorsRefusedError(self._detail, headers={"Vary": self._vary})
        await problem_response(Request(scope), problem)(scope, receive, send)
