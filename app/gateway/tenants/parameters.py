"""Parameters of the endpoints of tenants."""

from typing import Annotated

from fastapi import Body, Depends, Header
from starlette.requests import Request

from activities.tenants.request import TenantRequest
from app.gateway.http.preferences import wait_preference
from app.gateway.http.problems.request_problems import BadIdempotencyKeyError
from app.gateway.http.provided import provided
from app.settings import Settings

LONGEST_IDEMPOTENCY_KEY = 255


async def idempotency_key(
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Makes repeating the request harmless: 1 to 255 visible ASCII characters, new for each one.",
            examples=["7c9e6679-7425-40de-944b-e07fc1f90ae7"],
            json_schema_extra={"minLength": 1, "maxLength": LONGEST_IDEMPOTENCY_KEY, "pattern": "^[!-~]+$"},
        ),
    ] = None,
) -> str | None:
    """Return the header's value; raise `ProblemError` if it is malformed."""
    if idempotency_key is None:
        return None
    if not 1 <= len(idempotency_key) <= LONGEST_IDEMPOTENCY_KEY or not all(
        "!" <= sign <= "~" for sign in idempotency_key
    ):
        raise BadIdempotencyKeyError
    return idempotency_key


async def prefer_wait(
    request: Request,
    prefer: Annotated[  # noqa: ARG001 - shown in OpenAPI; it may come in several lines, which only the request has
        str | None,
        Header(
            alias="Prefer",
            description="`wait=N` answers only when the operation has ended, or after N seconds (RFC 7240).",
        ),
    ] = None,
) -> int | None:
    """Return the seconds to wait for the end of the operation, capped; None if the caller doesn't want to wait."""
    return wait_preference(request.headers.getlist("prefer"), most=provided(request, Settings).prefer_wait_max)


IdempotencyKey = Annotated[str | None, Depends(idempotency_key)]
PreferWait = Annotated[int | None, Depends(prefer_wait)]
NewTenant = Annotated[TenantRequest, Body()]
