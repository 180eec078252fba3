"""Parameters of the endpoints of tenants."""

import re
from typing import Annotated

from fastapi import Body, Depends, Header, Security

from activities.tenants.request import TenantRequest
from app.auth.callers import Requester
from app.auth.scopes import Scope
from app.gateway.access.parameters import current_requester
from app.gateway.http.problems.request_problems import BadIdempotencyKeyError
from app.gateway.tenants.schemas import SuspensionBody, WelcomeEmailBody

MAX_IDEMPOTENCY_KEY_LENGTH = 255
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


Creator = Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_CREATE])]
IdempotencyKey = Annotated[str | None, Depends(idempotency_key)]
WelcomeEmailRecipient = Annotated[WelcomeEmailBody | None, Body()]
NewTenant = Annotated[TenantRequest, Body()]
NewSuspension = Annotated[SuspensionBody, Body()]
