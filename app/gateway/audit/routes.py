"""The route of audit events."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Security
from starlette.responses import Response

from activities.audit.events import Action, Outcome
from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.gateway.access.parameters import current_caller
from app.gateway.access.route import AuthenticatedRoute
from app.gateway.audit.documents import AuditEventList
from app.gateway.audit.listing import EVENT_PAGE_TOKEN, AuditListing, EventFilter
from app.gateway.http.openapi import COMMON_PROBLEMS, problems
from app.gateway.http.parameters import DEFAULT_PAGE_SIZE, Moment, PageSize
from app.gateway.http.problems.request_problems import DatabaseOutageError, InvalidRequestError
from app.gateway.http.provided import provide
from app.gateway.http.responses import document_response
from workflows.operations.texts import MAX_SENTENCE_LENGTH

router = APIRouter(
    tags=["audit"],
    route_class=AuthenticatedRoute,
    responses=problems(*COMMON_PROBLEMS, DatabaseOutageError),
)

ANY_TEXT = r"^[^\x00]*$"


async def event_filter(
    action: Annotated[list[Action], Query(default_factory=list, description="Any of these.")],
    outcome: Annotated[list[Outcome], Query(default_factory=list, description="Any of these.")],
    *,
    caller: Annotated[
        str | None, Query(pattern=ANY_TEXT, max_length=MAX_SENTENCE_LENGTH, description="The authenticated identity.")
    ] = None,
    workflow_id: Annotated[
        str | None,
        Query(
            alias="workflowId", pattern=ANY_TEXT, max_length=MAX_SENTENCE_LENGTH, description="About this operation."
        ),
    ] = None,
    tenant_id: Annotated[UUID | None, Query(alias="tenantId", description="About this tenant.")] = None,
    occurred_after: Annotated[
        Moment | None, Query(alias="occurredAfter", description="At this time or later.")
    ] = None,
    occurred_before: Annotated[Moment | None, Query(alias="occurredBefore", description="Before this time.")] = None,
) -> EventFilter:
    """Return the filter in the query."""
    return EventFilter(
        actions=tuple(action),
        outcomes=tuple(outcome),
        caller=caller,
        workflow_id=workflow_id,
        tenant_id=tenant_id,
        occurred_after=occurred_after,
        occurred_before=occurred_before,
    )


PageToken = Annotated[
    str | None, Query(alias="pageToken", pattern=EVENT_PAGE_TOKEN, description="`nextPageToken` of a page.")
]


@router.get(
    "/audit-events",
    summary="List audit events",
    response_model=AuditEventList,
    responses=problems(InvalidRequestError),
)
async def list_audit_events(
    caller: Annotated[Caller, Security(current_caller, scopes=[Scope.AUDIT_READ])],
    listing: Annotated[AuditListing, Depends(provide(AuditListing))],
    wanted: Annotated[EventFilter, Depends(event_filter)],
    page_size: PageSize = DEFAULT_PAGE_SIZE,
    page_token: PageToken = None,
) -> Response:
    """Show accepted and denied actions, newest first. `alga-tenants audit verify` detects tampering with them."""
    page = await listing.page(caller, wanted, size=page_size, token=page_token)
    return document_response(page)
