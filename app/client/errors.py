"""The errors of the client, grouped by what the caller can do about them."""

from dataclasses import dataclass
from typing import Any

from app.client.models import Fault, Operation


class TenantsError(Exception):
    """Base of all errors of the client; programs can rely on `code`."""

    code = "client-error"

    def as_json(self) -> dict[str, Any]:
        """Return the error in the form of a problem document."""
        return {"code": self.code, "detail": str(self)}


class ArgumentError(TenantsError, ValueError):
    """An argument is invalid; no request was sent."""

    code = "invalid-argument"


class UnreachableError(TenantsError):
    """There was no response in time, or the connection broke. The request may have taken effect."""

    code = "unreachable"


class UnexpectedResponseError(TenantsError):
    """The response is not from a gateway; probably something else listens at that address."""

    code = "unexpected-response"


class DamagedDownloadError(TenantsError):
    """A downloaded file is not what the export's manifest says, or the folder holds another export."""

    code = "damaged-download"


class FileError(TenantsError):
    """A file of a download can't be written or read, as on a full disk. The next download continues there."""

    code = "file-error"


class WaitTimeoutError(TenantsError):
    """The operation has not settled in the given time. It continues; `document` is its last known state."""

    code = "wait-timeout"

    def __init__(self, document: Operation) -> None:
        super().__init__(f"{document.workflow_id} is {document.status} and goes on")
        self.document = document


@dataclass(kw_only=True, eq=False)
class ProblemError(TenantsError):
    """The gateway rejected the request; raised itself for every problem that has no subclass.

    `errors` has an entry for each invalid field. Quote `request_id` in a bug report. `retry_after` is in seconds,
    and None if the gateway sent no `Retry-After`.
    """

    status: int
    code: str
    detail: str
    title: str | None = None
    errors: tuple[Fault, ...] = ()
    request_id: str | None = None
    retry_after: float | None = None

    def __str__(self) -> str:
        return self.detail

    def as_json(self) -> dict[str, Any]:
        """Return the problem document without the members that the gateway left out."""
        parts = {
            "status": self.status,
            "title": self.title,
            "errors": [fault.as_json() for fault in self.errors] or None,
            "requestId": self.request_id,
            "retryAfter": self.retry_after,
        }
        return super().as_json() | {name: value for name, value in parts.items() if value is not None}


class InvalidRequestError(ProblemError):
    """400, 413, 415 or 422: the request can't succeed unless it is changed."""


class AuthenticationError(ProblemError):
    """401 or 403: the API key or token is invalid, or lacks a scope."""


class NotFoundError(ProblemError):
    """404: no such operation, tenant, export or webhook exists."""


class ConflictError(ProblemError):
    """409: the current state doesn't allow the request, such as cancelling an operation that has ended."""


class UnavailableError(ProblemError):
    """429, 502, 503 or 504: the same request may succeed later."""


class DamagedArchiveError(ProblemError):
    """502 with the code `export-damaged`: files of the archive are missing in its store, or were changed there."""


ERRORS_BY_CODE: dict[str, type[ProblemError]] = {"export-damaged": DamagedArchiveError}
ERRORS_BY_STATUS: dict[int, type[ProblemError]] = {
    **dict.fromkeys((400, 413, 415, 422), InvalidRequestError),
    **dict.fromkeys((401, 403), AuthenticationError),
    404: NotFoundError,
    409: ConflictError,
    **dict.fromkeys((429, 502, 503, 504), UnavailableError),
}
