"""The route of audit events."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.gateway.access.authenticated_route import AuthenticatedRoute
from app.gateway.audit.documents import AuditEventList
from app.gateway.audit.listing import EventFilter
from app.gateway.audit.parameters import AuditReader, AuditTrailListing, PageToken
from app.gateway.http.openapi import COMMON_PROBLEMS, CONDITIONAL, problems
from app.gateway.http.parameters import DEFAULT_PAGE_SIZE, IfNoneMatch, PageSize
from app.gateway.http.problems.request_problems import DatabaseOutageError
from app.gateway.http.responses import conditional_response

router = APIRouter(
    tags=["audit"],
    route_class=AuthenticatedRoute,
    responses=problems(*COMMON_PROBLEMS, DatabaseOutageError),
)


@router.get(
    "/audit-events",
    summary="List audit events",
    response_model=AuditEventList,
    responses=CONDITIONAL,
)
async def list_audit_events(  # noqa: PLR0917 - FastAPI passes them by name
    caller: AuditReader,
    listing: AuditTrailListing,
    wanted: Annotated[EventFilter, Depends()],
    if_none_match: IfNoneMatch,
    page_size: PageSize = DEFAULT_PAGE_SIZE,
    page_token: PageToken = None,
) -> Response:
    """Show accepted and denied actions, newest first. `alga-tenants audit verify` detects tampering with them."""
    page = await listing.page(caller, wanted, size=page_size, token=page_token)
    return conditional_response(page, if_none_match)
