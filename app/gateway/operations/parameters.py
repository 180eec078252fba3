"""Parameters of the endpoints of operations.

All dependencies are coroutines, because FastAPI would run plain functions in threads, which takes longer.
"""

import re
from typing import Annotated
from uuid import UUID

from fastapi import Body, Depends, Header, Path, Query, Security
from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from activities.operations.queries import OperationFilter
from activities.tenants.request import EXAMPLE_TENANT_ID, TenantChanges
from app.auth.callers import Caller, Requester
from app.auth.scopes import Scope
from app.gateway.access.parameters import current_caller, current_requester
from app.gateway.http.dependencies import find_service
from app.gateway.http.parameters import Moment, wait_preference
from app.gateway.operations.listing import MAX_PAGE_TOKEN_LENGTH, PAGE_TOKEN
from app.gateway.operations.problems import OperationNotFoundError
from app.gateway.operations.schemas import CancelBody, Reason
from app.settings import Settings
from workflows.operations.kinds import KINDS
from workflows.operations.statuses import OperationStatus

MAX_WORKFLOW_ID_LENGTH = 255
MAX_KIND_LENGTH = 100
UUID_PATTERN = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
MAX_SEARCH_LENGTH = 255

EXAMPLE_WORKFLOW_ID = f"tenant-creation-{EXAMPLE_TENANT_ID}"


def check_workflow_id(workflow_id: str) -> str:
    """Return the id; raise `OperationNotFoundError` if no operation can have it."""
    if len(workflow_id) > MAX_WORKFLOW_ID_LENGTH or "\0" in workflow_id:
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


async def cancel_reason(
    reason: Annotated[Reason | None, Query(description="Why. The body's `reason` has precedence.")] = None,
    body: Annotated[CancelBody | None, Body()] = None,
) -> str | None:
    """Return the reason of a cancellation."""
    return body.reason if body is not None and body.reason is not None else reason


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


def _reject_nul(value: str) -> str:
    if "\0" in value:
        raise PydanticCustomError("nul", "must not hold NUL characters")
    return value


def _reject_unknown(value: OperationStatus) -> OperationStatus:
    # The enum itself accepts unknown values.
    if value not in list(OperationStatus):
        raise PydanticCustomError("status", "must be one of: " + ", ".join(OperationStatus))
    return value


STATUS_SCHEMA = {"type": "string", "enum": list(OperationStatus)}
KnownStatus = Annotated[OperationStatus, AfterValidator(_reject_unknown), WithJsonSchema(STATUS_SCHEMA)]


async def operation_filter(  # noqa: PLR0917 - FastAPI passes them by name
    status: Annotated[list[KnownStatus], Query(default_factory=list, description="Any of these.")],
    kind: Annotated[
        str | None, Query(max_length=MAX_KIND_LENGTH, pattern="^[a-z_]+$", description="Of this kind.")
    ] = None,
    tenant_id: Annotated[UUID | None, Query(alias="tenantId", description="On this tenant.")] = None,
    name: Annotated[
        Annotated[str, AfterValidator(_reject_nul), Field(json_schema_extra={"pattern": "^[^\\x00]*$"})] | None,
        Query(max_length=MAX_SEARCH_LENGTH, description="Part of the tenant's name, in any case."),
    ] = None,
    started_after: Annotated[
        Moment | None, Query(alias="startedAfter", description="Started at this time or later.")
    ] = None,
    started_before: Annotated[
        Moment | None, Query(alias="startedBefore", description="Started before this time.")
    ] = None,
) -> OperationFilter:
    """Return the filter for a list of operations."""
    return OperationFilter(
        tenant_id=tenant_id,
        kind=kind,
        statuses=tuple(status),
        name=name,
        started_after=started_after,
        started_before=started_before,
    )


# Each kind has its own scopes to cancel and resume it.
KIND_SCOPES = sorted({scope for kind in KINDS.values() for scope in (kind.cancel_scope, kind.manage_scope)})

Reader = Annotated[Caller, Security(current_caller, scopes=[Scope.TENANTS_READ])]
KindRequester = Annotated[Requester, Security(current_requester, scopes=KIND_SCOPES)]
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", description="Id of the last event that the client has seen.")
]
PreferWait = Annotated[int | None, Depends(prefer_wait)]
WorkflowId = Annotated[str, Depends(workflow_id)]
CancelReason = Annotated[str | None, Depends(cancel_reason)]
Filter = Annotated[OperationFilter, Depends(operation_filter)]
PageToken = Annotated[
    str | None,
    Query(
        alias="pageToken",
        pattern=PAGE_TOKEN,
        max_length=MAX_PAGE_TOKEN_LENGTH,
        description="`nextPageToken` of a page.",
    ),
]
ChangedTenant = Annotated[TenantChanges, Body()]
