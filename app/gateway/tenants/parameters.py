"""Parameters of the endpoints of tenants."""

import re
from typing import Annotated

from fastapi import Body, Depends, Header
from starlette.requests import Request

from activities.tenants.request import TenantRequest
from app.gateway.http.dependencies import find_service
from app.gateway.http.parameters import wait_preference
from app.gateway.http.problems.request_problems import BadIdempotencyKeyError
from app.gateway.tenants.schemas import SuspensionBody, WelcomeEmailBody
from app.settings import Settings

MAX_IDEMPOTENCY_KEY_LENGTH = 255
# How long a request waits until the tenant is suspended, unless it prefers less.
SUSPENSION_WAIT_SECONDS = 10
IDEMPOTENCY_KEY = re.compile(rf"[!-~]{{1,{MAX_IDEMPOTENCY_KEY_LENGTH}}}")


async def idempotency_key(
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Makes it safe to repeat the request: 1 to 255 visible ASCII characters, new for each one.",
            examples=["7c9e6679-7425-40de-944b-e07fc1f90ae7"],
            json_schema_extra={"minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY_LENGTH, "pattern": "^[!-~]+$"},
        ),
    ] = None,
) -> str | None:
    """Return the header's value; raise `BadIdempotencyKeyError` if it is malformed."""
    if idempotency_key is not None and not IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise BadIdempotencyKeyError
    return idempotency_key


async def prefer_wait(
    request: Request,
    prefer: Annotated[  # noqa: ARG001 - for OpenAPI; several lines of it are only in the request
        str | None,
        Header(
            alias="Prefer",
            description="`wait=N`: respond when the operation has ended, or after N seconds (RFC 7240).",
        ),
    ] = None,
) -> int | None:
    """Return the seconds to wait for the end of the operation, capped; None if the caller doesn't want to wait."""
    return wait_preference(request.headers.getlist("prefer"), maximum=find_service(request, Settings).prefer_wait_max)


async def shorter_wait(wait: Annotated[int | None, Depends(prefer_wait)]) -> int | None:
    """Return the seconds that the caller prefers to wait; None if a suspension waits no longer anyway."""
    return wait if wait is not None and wait < SUSPENSION_WAIT_SECONDS else None


IdempotencyKey = Annotated[str | None, Depends(idempotency_key)]
PreferWait = Annotated[int | None, Depends(prefer_wait)]
ShorterWait = Annotated[int | None, Depends(shorter_wait)]
WelcomeEmailRecipient = Annotated[WelcomeEmailBody | None, Body()]
NewTenant = Annotated[TenantRequest, Body()]
NewSuspension = Annotated[SuspensionBody, Body()]
