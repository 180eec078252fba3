"""Problems of any request: its form, its credential, limits and outages. The OpenAPI document shows them, too."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Self

from app.auth.scopes import Scope
from app.gateway.http.problems.problem import ProblemError

BUSY_RETRY_AFTER = 1
OUTAGE_RETRY_AFTER = 5
# Streams end rarely.
STREAM_RETRY_AFTER = 10


class LimitExceededError(ProblemError):
    """Base of the problems with one exceeded limit, which `default_detail` contains as `{}`."""

    def __init__(self, limit: int) -> None:
        super().__init__(self.default_detail.format(limit))


class MalformedRequestError(ProblemError):
    """The bytes are not a request of HTTP/1.1."""

    status, code = 400, "malformed-request"
    example_arguments = ("The request is not HTTP/1.1",)


class MalformedJsonError(ProblemError):
    """The body can't be parsed."""

    status, code = 400, "malformed-json"
    default_detail = "The body is not valid JSON in UTF-8"


class JsonTooDeepError(LimitExceededError):
    """The body is nested too deeply."""

    status, code = 400, "json-too-deep"
    default_detail = "The body is nested deeper than {} levels"
    example_arguments = (32,)


class JsonTooLongError(LimitExceededError):
    """The body has too many values."""

    status, code = 400, "json-too-long"
    default_detail = "The body has more than {} values"
    example_arguments = (200,)


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
    example_arguments = ("Disallowed CORS origin",)


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
    example_arguments = (("GET", "POST"),)

    def __init__(self, allowed: Sequence[str]) -> None:
        methods = ", ".join(allowed)
        super().__init__(f"Method not allowed; use {methods}", headers={"Allow": methods})


class RequestTimeoutError(ProblemError):
    """The request did not arrive in time."""

    status, code = 408, "request-timeout"
    example_arguments = ("The request did not arrive in time",)


class BodyTooLargeError(LimitExceededError):
    """The body has too many bytes."""

    status, code = 413, "body-too-large"
    default_detail = "The body is larger than {} bytes"
    example_arguments = (262144,)


class UnsupportedMediaTypeError(ProblemError):
    """The `Content-Type` of the body is not JSON."""

    status, code = 415, "unsupported-media-type"
    default_detail = "The body must have the header `Content-Type: application/json`"


class RangeNotSatisfiableError(ProblemError):
    """The file has no byte of the requested range."""

    status, code = 416, "range-not-satisfiable"
    example_arguments = (1024,)

    def __init__(self, size: int) -> None:
        detail = f"The file has {size} bytes, none of them in the range of the header Range"
        super().__init__(detail, headers={"Content-Range": f"bytes */{size}"})


class InvalidRequestError(ProblemError):
    """One or more fields are invalid."""

    status, code = 422, "invalid-request"

    @classmethod
    def example(cls) -> Self:
        """Return the example in the OpenAPI document."""
        return cls.of_field("tenantName", "is required")


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
        detail = f"{detail}; retry in {retry_after} s"
        super().__init__(detail, headers=headers, retry_after=retry_after, is_denial=is_denial)


class TooManyRequestsError(ProblemError):
    """The caller has too many requests in progress."""

    status, code = 429, "too-many-requests"
    default_retry_after = BUSY_RETRY_AFTER
    example_arguments = ("You have 500 requests in progress, the limit per caller; retry later",)


class TooManyStreamsError(LimitExceededError):
    """The caller has too many event streams."""

    status, code = 429, "too-many-streams"
    default_detail = "You have {} event streams, the limit per caller; close one of them"
    default_retry_after = STREAM_RETRY_AFTER
    example_arguments = (200,)


class TooManyDownloadsError(LimitExceededError):
    """The caller is fetching too much at once."""

    status, code = 429, "too-many-downloads"
    default_detail = "You have {} downloads in progress, the limit per caller; retry once one of them has ended"
    default_retry_after = STREAM_RETRY_AFTER
    example_arguments = (20,)


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
    """The gateway has reached one of its own limits."""

    status, code = 503, "overloaded"
    default_retry_after = BUSY_RETRY_AFTER
    example_arguments = ("The gateway has 1000 requests in progress; retry later",)


class OutageError(ProblemError):
    """Base of the problems of a dependency that is unavailable."""

    status = 503
    default_retry_after = OUTAGE_RETRY_AFTER


class WorkerOutageError(OutageError):
    """No worker has responded in time."""

    code = "worker-unavailable"
    default_detail = "No worker has confirmed the change in time; check whether it was made before you retry"


class TemporalOutageError(OutageError):
    """Temporal is unavailable."""

    code = "temporal-unavailable"
    default_detail = "Temporal is unavailable; retry with the same Idempotency-Key, if there was one"


class ExportStorageOutageError(OutageError):
    """The store of archives is unavailable."""

    code = "export-storage-unavailable"
    default_detail = "The storage of exports is unavailable; retry later"


class DatabaseOutageError(OutageError):
    """The database is unavailable."""

    code = "database-unavailable"
    default_detail = "The database is unavailable; retry later"


class IdentityProviderOutageError(OutageError):
    """The identity provider is unavailable, and the key of the token is not cached."""

    code = "identity-provider-unavailable"
    default_detail = "The identity provider is unavailable, and the token's key is not cached; retry later"


class FrameworkError(ProblemError):
    """Any other rejection by Starlette or FastAPI. Its code is the name of the status."""

    def __init__(self, status: HTTPStatus, headers: Mapping[str, str] | None) -> None:
        super().__init__(status.description, headers=headers)
        self.status = status
        self.code = status.phrase.lower().replace(" ", "-")
