"""What can go wrong with a call, by what the caller can do about it."""

from collections.abc import Sequence
from typing import Any

from app.client.models import Fault, Operation


class TenantsError(Exception):
    """Base of all errors of the client; `code` is a word for programs."""

    code = "client-error"

    def as_json(self) -> dict[str, Any]:
        """The error in the shape of a problem document."""
        return {"code": self.code, "detail": str(self)}


class ArgumentError(TenantsError, ValueError):
    """An argument that can't be sent; nothing was."""

    code = "invalid-argument"


class UnreachableError(TenantsError):
    """No response in time, or a broken connection. A call that changes something may have taken effect."""

    code = "unreachable"


class UnexpectedResponseError(TenantsError):
    """The response is not one of a gateway; probably something else listens at that address."""

    code = "unexpected-response"


class WaitTimeoutError(TenantsError):
    """The operation was not settled in the given time. It goes on; `document` is its last known state."""

    code = "wait-timeout"

    def __init__(self, document: Operation) -> None:
        super().__init__(f"{document.workflow_id} is {document.status} and goes on")
        self.document = document


class ProblemError(TenantsError):
    """The gateway refused. This class stands for every problem that has no class of its own.

    `errors` has an entry for each field at fault; `request_id` is what to quote when asking for help;
    `retry_after` is in seconds, where the gateway says when to come again.
    """

    def __init__(
        self,
        *,
        status: int,
        code: str,
        detail: str,
        title: str | None = None,
        errors: Sequence[Fault] = (),
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.title = title
        self.errors = tuple(errors)
        self.request_id = request_id
        self.retry_after = retry_after

    def as_json(self) -> dict[str, Any]:
        """See `TenantsError`; parts that the gateway left out are left out."""
        parts = {
            "status": self.status,
            "title": self.title,
            "errors": [fault.as_json() for fault in self.errors] or None,
            "requestId": self.request_id,
            "retryAfter": self.retry_after,
        }
        return super().as_json() | {name: value for name, value in parts.items() if value is not None}


class InvalidRequestError(ProblemError):
    """400, 413, 415 or 422: the request must be changed before it can succeed."""


class AuthenticationError(ProblemError):
    """401 or 403: the API key or token is not accepted, or may not do this."""


class NotFoundError(ProblemError):
    """404: there is no such operation or tenant."""


class ConflictError(ProblemError):
    """409: the current state doesn't allow it, such as cancelling an operation that has ended."""


class UnavailableError(ProblemError):
    """429, 502, 503 or 504: the same request may succeed later."""


ERRORS_BY_STATUS: dict[int, type[ProblemError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    409: ConflictError,
    413: InvalidRequestError,
    415: InvalidRequestError,
    422: InvalidRequestError,
    429: UnavailableError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}
