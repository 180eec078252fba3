"""The parameters of endpoints as annotated types.

All dependencies are coroutines, because FastAPI runs plain functions in threads, which takes longer than they do.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Body, Depends, Header, Path, Query, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from activities.operations.records import OperationFilter
from activities.tenants.request import TenantChanges, TenantRequest
from app.auth.callers import Caller, Requester
from app.auth.names import RESERVED_PREFIXES, is_reserved
from app.auth.scopes import Scope
from app.gateway.http.preferences import wait_preference
from app.gateway.http.problems.request_problems import BadIdempotencyKeyError, BadOnBehalfOfError, ScopeMissingError
from app.gateway.http.request_context import address_of, caller_of, request_id_of
from app.gateway.operations.listing import LONGEST_PAGE_TOKEN, PAGE_TOKEN
from app.gateway.operations.problems import OperationNotFoundError
from app.gateway.operations.schemas import CancelBody, Reason
from app.gateway.services import Services, services_of
from workflows.operations.messages import OperationStatus

LONGEST_WORKFLOW_ID = 255
MAX_KIND = 100
UUID_PATTERN = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
LONGEST_IDEMPOTENCY_KEY = 255
LONGEST_SEARCH = 255
LONGEST_PERSON = 200
ON_BEHALF_OF_HEADER = "X-On-Behalf-Of"
LARGEST_PAGE = 200
DEFAULT_PAGE = 50

EXAMPLE_WORKFLOW_ID = "tenant-creation-1b4e28ba-2fa1-41d2-883f-0016d3cca427"


BEARER = HTTPBearer(
    scheme_name="bearer",
    bearerFormat="at_… or JWT",
    description="An API key, or an access token of the OpenID provider that the gateway is set up with: a signed JWT "
    "whose scopes or roles are named like ours.",
    auto_error=False,
)
API_KEY = APIKeyHeader(name="X-API-Key", scheme_name="apiKey", description="An API key.", auto_error=False)


async def the_services(request: Request) -> Services:
    """Return the services of the gateway that serves the request."""
    return services_of(request)


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
            description="The person whom the caller acts for, as a name or an address; needs the scope "
            "`tenants:manage`. Becomes `requestedBy` or `cancelledBy`. Names of this service's own identities, which "
            "begin with `key:`, `shell:`, `oidc:` or `token:`, are refused, and so are words like `gateway`.",
            examples=["jane.doe@example.com"],
            json_schema_extra={"minLength": 1, "maxLength": LONGEST_PERSON, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        ),
    ] = None,
) -> Requester:
    """Return the caller and the person on whose behalf it acts.

    Raises:
        ProblemError: the header is malformed, or the caller may not act on behalf of others.
    """
    if on_behalf_of is not None:
        _check_person(on_behalf_of)
        if Scope.TENANTS_MANAGE not in caller.scopes:
            raise ScopeMissingError(Scope.TENANTS_MANAGE, ON_BEHALF_OF_HEADER)
    return Requester(
        caller=caller, request_id=request_id_of(request), address=address_of(request), on_behalf_of=on_behalf_of
    )


def _check_person(on_behalf_of: str) -> None:
    is_visible = all(" " <= sign <= "~" for sign in on_behalf_of)
    if not 1 <= len(on_behalf_of) <= LONGEST_PERSON or not is_visible or on_behalf_of != on_behalf_of.strip():
        raise BadOnBehalfOfError
    if is_reserved(on_behalf_of):
        prefixes = ", ".join(f"{prefix}:" for prefix in RESERVED_PREFIXES)
        raise BadOnBehalfOfError(
            f"X-On-Behalf-Of has a name that is reserved for this service; name a person, without a prefix such as "
            f"{prefixes}"
        )


def check_workflow_id(workflow_id: str) -> str:
    """Return the id; raise `OperationNotFoundError` if no operation can have it."""
    if len(workflow_id) > LONGEST_WORKFLOW_ID or "\0" in workflow_id:
        raise OperationNotFoundError
    return workflow_id


async def workflow_id(
    id_in_path: Annotated[
        str, Path(alias="id", description="The operation's `workflowId`.", examples=[EXAMPLE_WORKFLOW_ID])
    ],
) -> str:
    """Return the path's workflow id; raise `OperationNotFoundError` if no operation can have it."""
    return check_workflow_id(id_in_path)


def tenant_id_of(id_in_path: str) -> UUID | None:
    """Return the tenant id that the path holds, or None if it holds a workflow id."""
    return UUID(id_in_path) if UUID_PATTERN.fullmatch(id_in_path) else None


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
    services: Annotated[Services, Depends(the_services)],
    prefer: Annotated[  # noqa: ARG001 - shown in OpenAPI; it may come in several lines, which only the request has
        str | None,
        Header(
            alias="Prefer",
            description="`wait=N` answers only when the operation has ended, or after N seconds (RFC 7240).",
        ),
    ] = None,
) -> int | None:
    """Return the seconds to wait for the end of the operation, capped; None if the caller doesn't want to wait."""
    return wait_preference(request.headers.getlist("prefer"), most=services.settings.prefer_wait_max)


def if_none_match_lines(request: Request) -> list[str]:
    """Return the lines of `If-None-Match`."""
    return request.headers.getlist("if-none-match")


async def if_none_match(
    request: Request,
    if_none_match: Annotated[  # noqa: ARG001 - shown in OpenAPI; it may come in several lines, which only the request has
        str | None,
        Header(
            alias="If-None-Match",
            description="ETags of documents that the caller has; a 304 says that one still holds.",
        ),
    ] = None,
) -> list[str]:
    """Return the header's lines."""
    return if_none_match_lines(request)


async def cancel_reason(
    reason: Annotated[Reason | None, Query(description="Why; the body's `reason` goes first.")] = None,
    body: Annotated[CancelBody | None, Body()] = None,
) -> str | None:
    """Return the reason of a cancellation."""
    return body.reason if body is not None and body.reason is not None else reason


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise PydanticCustomError("nul", "must not hold NUL characters")
    return value


def _known_status(value: str) -> OperationStatus:
    # Documents may have unknown statuses, but in a request they are an error.
    if value not in list(OperationStatus):
        raise PydanticCustomError("status", "must be one of " + ", ".join(OperationStatus))
    return OperationStatus(value)


def _not_a_number(value: Any) -> Any:
    # Pydantic would also accept seconds since 1970.
    if isinstance(value, str) and not value[:5].endswith("-"):
        raise PydanticCustomError("moment", "must be a time like 2026-01-31T12:00:00Z")
    return value


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise PydanticCustomError("moment", "must name its time zone, as in 2026-01-31T12:00:00Z")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("moment", "is out of range") from None


KnownStatus = Annotated[
    str,
    AfterValidator(_known_status),
    WithJsonSchema({"type": "string", "enum": [str(status) for status in OperationStatus]}),
]
Moment = Annotated[datetime, BeforeValidator(_not_a_number), AfterValidator(_in_utc)]


async def operation_filter(  # noqa: PLR0917 - FastAPI passes them by name
    status: Annotated[list[KnownStatus], Query(default_factory=list, description="Any of these.")],
    kind: Annotated[str | None, Query(max_length=MAX_KIND, pattern="^[a-z_]+$", description="Of this kind.")] = None,
    tenant_id: Annotated[UUID | None, Query(alias="tenantId", description="That worked on this tenant.")] = None,
    name: Annotated[
        Annotated[str, AfterValidator(_no_nul), Field(json_schema_extra={"pattern": "^[^\\x00]*$"})] | None,
        Query(max_length=LONGEST_SEARCH, description="Part of the tenant's name, in any case."),
    ] = None,
    started_after: Annotated[Moment | None, Query(alias="startedAfter", description="Started then or later.")] = None,
    started_before: Annotated[Moment | None, Query(alias="startedBefore", description="Started before then.")] = None,
) -> OperationFilter:
    """Return the filter for a list of operations."""
    return OperationFilter(
        tenant_id=tenant_id,
        kind=kind,
        statuses=tuple(OperationStatus(known) for known in status),
        name=name,
        started_after=started_after,
        started_before=started_before,
    )


LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", description="Id of the last event that the client has seen.")
]
IfNoneMatch = Annotated[list[str], Depends(if_none_match)]
ServicesDep = Annotated[Services, Depends(the_services)]
WorkflowId = Annotated[str, Depends(workflow_id)]
IdempotencyKey = Annotated[str | None, Depends(idempotency_key)]
PreferWait = Annotated[int | None, Depends(prefer_wait)]
CancelReason = Annotated[str | None, Depends(cancel_reason)]
Filter = Annotated[OperationFilter, Depends(operation_filter)]
PageSize = Annotated[int, Query(alias="pageSize", ge=1, le=LARGEST_PAGE)]
PageToken = Annotated[
    str | None,
    Query(
        alias="pageToken", pattern=PAGE_TOKEN, max_length=LONGEST_PAGE_TOKEN, description="`nextPageToken` of a page."
    ),
]
NewTenant = Annotated[TenantRequest, Body()]
ChangedTenant = Annotated[TenantChanges, Body()]
