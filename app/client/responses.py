"""Turns responses into models, and failures into the errors that callers catch."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
from pydantic import ValidationError

from app.client.errors import (
    ERRORS_BY_CODE,
    ERRORS_BY_STATUS,
    ProblemError,
    TenantsError,
    UnavailableError,
    UnexpectedResponseError,
    UnreachableError,
)
from app.client.models import D, Health, Problem


def read(response: httpx.Response, model: type[D]) -> D:
    """Return the response's document; raise a `ProblemError`, or `UnexpectedResponseError` if no gateway sent it."""
    if not response.is_success:
        raise error_of(response)
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        raise UnexpectedResponseError(
            f"{_request_line(response.request)} got {response.status_code} with something that is no "
            f"{model.__name__} ({error.error_count()} faults)"
        ) from None


def read_bytes(response: httpx.Response) -> bytes:
    """Return the response's content; raise a `ProblemError`."""
    if not response.is_success:
        raise error_of(response)
    return response.content


def read_health(response: httpx.Response) -> Health:
    """Return the result of a health check; a gateway that is not ready is no error."""
    if not response.is_success and response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
        raise error_of(response)
    health = _read_or_default(response, Health())
    return health.model_copy(update={"ready": response.is_success})


def reject_unavailable(response: httpx.Response) -> httpx.Response:
    """Return the response; raise `UnavailableError` if the same request may succeed later."""
    if response.is_error and isinstance(error := error_of(response), UnavailableError):
        raise error
    return response


def error_of(response: httpx.Response) -> TenantsError:
    """Return the error for an unsuccessful response, which may come from a proxy."""
    if not response.is_error:
        return UnexpectedResponseError(f"{_request_line(response.request)} got {response.status_code}")
    problem = _read_or_default(response, Problem())
    status = f"{response.status_code} {response.reason_phrase}".rstrip()
    by_status = ERRORS_BY_STATUS.get(response.status_code, ProblemError)
    return ERRORS_BY_CODE.get(problem.code or "", by_status)(
        status=response.status_code,
        code=problem.code or f"http-{response.status_code}",
        detail=problem.detail or f"{_request_line(response.request)} got {status}",
        title=problem.title,
        errors=problem.errors or (),
        request_id=problem.request_id or response.headers.get("X-Request-ID"),
        retry_after=retry_after(response),
    )


def unreachable(error: httpx.RequestError) -> UnreachableError:
    """Return the error for a request without a response."""
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.ReadTimeout):
        reason = f"no response within {error.request.extensions['timeout']['read']:g} s"
    return UnreachableError(f"{_request_line(error.request)}: {reason}")


def retry_after(response: httpx.Response) -> float | None:
    """Return the seconds in `Retry-After`; None if the header is missing or not as in RFC 9110."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _read_or_default(response: httpx.Response, default: D) -> D:
    try:
        return type(default).model_validate_json(response.content)
    except ValidationError:
        return default


def _request_line(request: httpx.Request) -> str:
    return f"{request.method} {request.url.path}"
