"""Problems of any request: its form, its credential, limits and outages.

The OpenAPI document describes these classes, so that documentation and behaviour cannot differ.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Self

from app.auth.scopes import Scope
from app.gateway.http.problems.problem import Fault, ProblemError

OUTAGE_RETRY_AFTER = 5
BUSY_RETRY_AFTER = 1


class MalformedRequestError(ProblemError):
    """The bytes are not a request of HTTP/1.1."""

    status, code = 400, "malformed-request"


class MalformedJsonError(ProblemError):
    """The body can't be parsed."""

    status, code = 400, "malformed-json"
    default_detail = "The body is not valid JSON in UTF-8"


class JsonTooDeepError(ProblemError):
    """The body is nested too deeply."""

    status, code = 400, "json-too-deep"
    example_arguments = (32,)

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is nested deeper than {limit} levels")


class JsonTooLongError(ProblemError):
    """The body has too many values."""

    status, code = 400, "json-too-long"
    example_arguments = (200,)

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body has more than {limit} values")


class BadIdempotencyKeyError(ProblemError):
    """The header `Idempotency-Key` has an unusable value."""

    status, code = 400, "bad-idempotency-key"
    default_detail = "Idempotency-Key must be 1 to 255 visible ASCII characters without spaces"


class BadOnBehalfOfError(ProblemError):
    """The header `X-On-Behalf-Of` has an unusable value."""

    status, code = 400, "bad-on-behalf-of"
    default_detail = "X-On-Behalf-Of must be 1 to 200 printable ASCII characters"


class CorsRefusedError(ProblemError):
    """A browser may not send the request from that origin."""

    status, code = 400, "cors-refused"


class UnauthorizedError(ProblemError):
    """The credential is missing or invalid."""

    status, code = 401, "unauthorized"
    default_detail = "Missing or invalid API key; send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`"

    def __init__(self, detail: str | None = None, *, challenge: str = "") -> None:
        """`challenge` has the parameters of RFC 6750, section 3."""
        super().__init__(detail, headers={"WWW-Authenticate": f"Bearer {challenge}".rstrip()}, is_denial=True)


class ScopeMissingError(ProblemError):
    """The caller lacks a scope that the request requires."""

    status, code = 403, "scope-missing"
    example_arguments = (Scope.TENANTS_CREATE,)

    def __init__(self, scope: Scope, purpose: str | None = None) -> None:
        reason = f" (required by {purpose})" if purpose is not None else ""
        super().__init__(
            f"Missing required scope: {scope}{reason}",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
            is_denial=True,
        )


class PathNotFoundError(ProblemError):
    """No route has this path, or none that the caller may see."""

    status, code = 404, "not-found"
    default_detail = "No such path"


class MethodNotAllowedError(ProblemError):
    """The path has no route with this method."""

    status, code = 405, "method-not-allowed"

    def __init__(self, allowed: Sequence[str]) -> None:
        methods = ", ".join(allowed)
        super().__init__(f"Method not allowed; use {methods}", headers={"Allow": methods})


class RequestTimeoutError(ProblemError):
    """The request did not arrive in time."""

    status, code = 408, "request-timeout"


class BodyTooLargeError(ProblemError):
    """The body has too many bytes."""

    status, code = 413, "body-too-large"
    example_arguments = (262144,)

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit} bytes")


class UnsupportedMediaTypeError(ProblemError):
    """The body is not declared as JSON."""

    status, code = 415, "unsupported-media-type"
    default_detail = "The body must have the header `Content-Type: application/json`"


class InvalidRequestError(ProblemError):
    """One or more fields are invalid."""

    status, code = 422, "invalid-request"

    @classmethod
    def example(cls) -> Self:
        """Return an example."""
        return cls("tenantName: is required", errors=[Fault(field="tenantName", detail="is required")])


class RateLimitedError(ProblemError):
    """A rate limit is exceeded."""

    status, code = 429, "rate-limited"
    example_arguments = ("Rate limit exceeded", 2)

    def __init__(
        self,
        detail: str,
        retry_after: int,
        headers: Mapping[str, str] | None = None,
        *,
        is_denial: bool = True,
    ) -> None:
        super().__init__(
            f"{detail}; retry in {retry_after} s",
            headers={"Retry-After": str(retry_after), **(headers or {})},
            is_denial=is_denial,
        )


class TooManyRequestsError(ProblemError):
    """The caller has too many requests in progress."""

    status, code = 429, "too-many-requests"
    example_arguments = ("You have 500 requests in progress, the limit per caller; retry later",)

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Retry-After": str(BUSY_RETRY_AFTER)})


class TooManyStreamsError(ProblemError):
    """The caller has too many event streams."""

    status, code = 429, "too-many-streams"
    example_arguments = (200, 10)

    def __init__(self, limit: int, retry_after: int) -> None:
        super().__init__(
            f"You have {limit} event streams, the limit per caller; close one of them",
            headers={"Retry-After": str(retry_after)},
        )


class HeadersTooLargeError(ProblemError):
    """The headers are too many or too large."""

    status, code = 431, "headers-too-large"
    example_arguments = (32768, 100)

    def __init__(self, max_bytes: int, max_headers: int) -> None:
        super().__init__(f"Request head, trailers or chunk framing exceed {max_bytes} bytes or {max_headers} headers")


class InternalError(ProblemError):
    """The gateway has crashed."""

    status, code = 500, "internal-error"
    default_detail = "The gateway failed; quote the request id when asking for help"


class OverloadedError(ProblemError):
    """The gateway is at one of its own limits."""

    status, code = 503, "overloaded"
    example_arguments = ("The gateway has 1000 requests in progress; retry later",)

    def __init__(self, detail: str, *, retry_after: int = BUSY_RETRY_AFTER) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class OutageError(ProblemError):
    """Base of the problems of a server that the gateway needs."""

    status = 503

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": str(OUTAGE_RETRY_AFTER)})


class WorkerOutageError(OutageError):
    """No worker has responded."""

    code = "worker-unavailable"
    default_detail = "No worker made the change in time, but one still may; check, and repeat it if it was not made"


class TemporalOutageError(OutageError):
    """Temporal is unavailable."""

    code = "temporal-unavailable"
    default_detail = "Temporal is unavailable; retry, a creation with the same Idempotency-Key"


class DatabaseOutageError(OutageError):
    """The database is unavailable."""

    code = "database-unavailable"
    default_detail = "The database is unavailable; retry later"


class IdentityProviderOutageError(OutageError):
    """The identity provider is unavailable, and the key of the caller's token is not cached."""

    code = "identity-provider-unavailable"
    default_detail = "The identity provider is unavailable, and the token's key is not known yet; retry later"


class FrameworkError(ProblemError):
    """Any other rejection by Starlette or FastAPI. The code is the name of the status."""

    def __init__(self, status: HTTPStatus, headers: Mapping[str, str] | None) -> None:
        super().__init__(status.description, headers=headers)
        self.status = status
        self.code = status.phrase.lower().replace(" ", "-")
