"""Turns responses into models, and failures into the errors that callers catch."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from pydantic import ValidationError

from app.client.errors import (
    ERRORS_BY_STATUS,
    ProblemError,
    TenantsError,
    UnavailableError,
    UnexpectedResponseError,
    UnreachableError,
)
from app.client.models import D, Fault, Health
from app.client.request_building import Request

SERVICE_UNAVAILABLE = 503


def read(response: httpx.Response, model: type[D]) -> D:
    """Return the response's document; raise a `ProblemError`, or `UnexpectedResponseError` if no gateway sent it."""
    if not response.is_success:
        raise error_of(response)
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        raise UnexpectedResponseError(
            f"{_request_line(response)} got {response.status_code} with something that is no "
            f"{model.__name__} ({error.error_count()} faults)"
        ) from None


def read_health(response: httpx.Response) -> Health:
    """Return the result of a health check; a gateway that is not ready is no error."""
    if not response.is_success and response.status_code != SERVICE_UNAVAILABLE:
        raise error_of(response)
    return Health.model_validate({**_document(response), "ready": response.is_success})


def reject_unavailable(response: httpx.Response) -> httpx.Response:
    """Return the response; raise `UnavailableError` if the same request may succeed later."""
    if ERRORS_BY_STATUS.get(response.status_code) is UnavailableError:
        raise error_of(response)
    return response


def error_of(response: httpx.Response) -> TenantsError:
    """Return the error for an unsuccessful response, which may come from a proxy."""
    if not response.is_error:
        return UnexpectedResponseError(f"{_request_line(response)} got {response.status_code}")
    problem = _document(response)
    code, detail = problem.get("code"), problem.get("detail")
    error_class = ERRORS_BY_STATUS.get(response.status_code, ProblemError)
    return error_class(
        status=response.status_code,
        code=code if isinstance(code, str) else f"http-{response.status_code}",
        detail=detail if isinstance(detail, str) else f"{_request_line(response)} got {_status(response)}",
        title=problem["title"] if isinstance(problem.get("title"), str) else None,
        errors=_faults(problem.get("errors")),
        request_id=problem.get("requestId") or response.headers.get("X-Request-ID"),
        retry_after=retry_after(response),
    )


def unreachable(request: Request, error: httpx.RequestError) -> UnreachableError:
    """Return the error for a request without a response."""
    if isinstance(error, httpx.ReadTimeout):
        reason = f"no response within {request.timeout:g} s"
    else:
        reason = str(error) or type(error).__name__
    return UnreachableError(f"{request.method} {request.path}: {reason}")


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


def _document(response: httpx.Response) -> Mapping[str, Any]:
    """Return the response's JSON object, or an empty one if there is none."""
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _faults(errors: object) -> list[Fault]:
    if not isinstance(errors, list):
        return []
    return [
        Fault(field=str(error["field"]), detail=str(error["detail"]))
        for error in errors
        if isinstance(error, dict) and {"field", "detail"} <= error.keys()
    ]


def _request_line(response: httpx.Response) -> str:
    return f"{response.request.method} {response.request.url.path}"


def _status(response: httpx.Response) -> str:
    return f"{response.status_code} {response.reason_phrase}".rstrip()
