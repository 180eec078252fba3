"""Parameters of authenticated endpoints: the caller, and the person on whose behalf it acts."""

import re
from typing import Annotated, Any

from fastapi import Depends, Header, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import Request

from app.auth.callers import RESERVED_PREFIXES, Caller, Requester, is_reserved
from app.auth.scopes import Scope
from app.gateway.http.problems.request_problems import BadOnBehalfOfError, ScopeMissingError
from app.gateway.http.request_context import address_of, caller_of, request_id_of

MAX_PERSON_LENGTH = 200
PERSON_PATTERN = "^[!-~]([ -~]*[!-~])?$"
ON_BEHALF_OF_HEADER = "X-On-Behalf-Of"

BEARER = HTTPBearer(
    scheme_name="bearer",
    bearerFormat="at_… or JWT",
    description="An API key, or an access token of the configured OpenID provider: a signed JWT whose scopes or "
    "roles have the names of this API's scopes.",
    auto_error=False,
)
API_KEY = APIKeyHeader(name="X-API-Key", scheme_name="apiKey", description="An API key.", auto_error=False)


async def current_caller(
    request: Request,
    bearer: Annotated[Any, Security(BEARER)],  # noqa: ARG001 - shown in OpenAPI; the route class has read the header
    api_key: Annotated[Any, Security(API_KEY)],  # noqa: ARG001 - likewise
) -> Caller:
    """Return the caller that the route authenticated; it has the scopes in the endpoint's signature."""
    return caller_of(request)


async def current_requester(
    request: Request,
    caller: Annotated[Caller, Depends(current_caller)],
    on_behalf_of: Annotated[
        str | None,
        Header(
            alias=ON_BEHALF_OF_HEADER,
            description="The name or address of the person on whose behalf the caller acts. Requires the scope "
            "`tenants:manage`. Becomes `requestedBy` or `cancelledBy`. Names of this service's own identities, such "
            "as `gateway` and names that begin with `key:`, `shell:`, `oidc:` or `token:`, are rejected.",
            examples=["jane.doe@example.com"],
            json_schema_extra={"minLength": 1, "maxLength": MAX_PERSON_LENGTH, "pattern": PERSON_PATTERN},
        ),
    ] = None,
) -> Requester:
    """Return the caller and the person on whose behalf it acts, or raise `ProblemError` if it may not."""
    if on_behalf_of is not None:
        if len(on_behalf_of) > MAX_PERSON_LENGTH or re.fullmatch(PERSON_PATTERN, on_behalf_of) is None:
            raise BadOnBehalfOfError
        if is_reserved(on_behalf_of):
            prefixes = ", ".join(f"{prefix}:" for prefix in RESERVED_PREFIXES)
            raise BadOnBehalfOfError(
                f"{ON_BEHALF_OF_HEADER} has a name that is reserved for this service; "
                f"name a person, without a prefix such as {prefixes}"
            )
        require_scope(caller, Scope.TENANTS_MANAGE, ON_BEHALF_OF_HEADER)
    return Requester(
        caller=caller, request_id=request_id_of(request), address=address_of(request), on_behalf_of=on_behalf_of
    )


def require_scope(caller: Caller, scope: str, purpose: str | None = None) -> None:
    """Raise `ScopeMissingError` unless the caller has the scope."""
    if scope not in caller.scopes:
        raise ScopeMissingError(Scope(scope), purpose)
