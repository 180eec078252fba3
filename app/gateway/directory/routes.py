"""Routes that read tenants from the database."""

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from app.gateway.access.authenticated_route import AuthenticatedRoute
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.directory.footprint import Footprints
from app.gateway.directory.listing import TenantListing
from app.gateway.directory.lookup import TenantLookup
from app.gateway.directory.parameters import Filter, PageToken, State, TenantPathId, Users
from app.gateway.directory.problems import FootprintTimeoutError, UnreadableTablesError
from app.gateway.directory.schemas import FootprintDocument, TenantCounts, TenantDetails, TenantList, UserList
from app.gateway.directory.users import UserListing
from app.gateway.http.dependencies import service
from app.gateway.http.openapi import COMMON_PROBLEMS, CONDITIONAL, problems
from app.gateway.http.parameters import DEFAULT_PAGE_SIZE, IfNoneMatch, PageSize
from app.gateway.http.problems.request_problems import DatabaseOutageError, InvalidRequestError
from app.gateway.http.responses import conditional_response, document_response
from app.gateway.operations.parameters import Reader

router = APIRouter(
    prefix="/tenants",
    tags=["tenants"],
    route_class=AuthenticatedRoute,
    responses=problems(*COMMON_PROBLEMS, DatabaseOutageError),
)


@router.get(
    "",
    summary="List tenants",
    response_model=TenantList,
    responses=CONDITIONAL,
)
async def list_tenants(  # noqa: PLR0917 - FastAPI passes them by name
    caller: Reader,
    listing: Annotated[TenantListing, service(TenantListing)],
    wanted: Filter,
    if_none_match: IfNoneMatch,
    state: State = None,
    page_size: PageSize = DEFAULT_PAGE_SIZE,
    page_token: PageToken = None,
) -> Response:
    """List the tenants in the database, newest first, no matter who created them.

    Deleted tenants are listed only with `state=deleted`, those that were deleted last first.
    """
    page = await listing.page(caller, wanted, state, size=page_size, token=page_token)
    return conditional_response(page, if_none_match)


@router.get(
    "/counts",
    summary="Count tenants",
    response_model=TenantCounts,
    responses=CONDITIONAL,
)
async def count_tenants(
    caller: Reader,
    listing: Annotated[TenantListing, service(TenantListing)],
    wanted: Filter,
    if_none_match: IfNoneMatch,
) -> Response:
    """Count the tenants in the database that the same filters list, by state, as they are at one moment."""
    return conditional_response(await listing.counts(caller, wanted), if_none_match)


@router.get("/{id}", summary="Read a tenant", response_model=TenantDetails, responses=problems(TenantNotFoundError))
async def read_tenant(
    caller: Reader, tenants: Annotated[TenantLookup, service(TenantLookup)], path_id: TenantPathId
) -> Response:
    """Return a tenant in the database, or what is known of a deleted one. An operation is at `/operations/{id}`."""
    return document_response(await tenants.find(caller, path_id))


@router.get(
    "/{id}/footprint",
    summary="Show what a deletion would remove",
    response_model=FootprintDocument,
    responses=problems(TenantNotFoundError, UnreadableTablesError, FootprintTimeoutError),
)
async def read_footprint(
    caller: Reader, footprints: Annotated[Footprints, service(Footprints)], path_id: TenantPathId
) -> Response:
    """Count the tenant's rows in every table of the database, and list what it has elsewhere.

    Takes up to a minute for a large tenant, and a few are taken at once. That of a deleted tenant shows what is left.
    """
    return document_response(await footprints.take(caller, path_id))


@router.get(
    "/{id}/users",
    summary="List a tenant's users",
    response_model=UserList,
    responses={**CONDITIONAL, **problems(TenantNotFoundError, InvalidRequestError)},
)
async def list_users(  # noqa: PLR0917 - FastAPI passes them by name
    caller: Reader,
    listing: Annotated[UserListing, service(UserListing)],
    path_id: TenantPathId,
    wanted: Users,
    if_none_match: IfNoneMatch,
    page_size: PageSize = DEFAULT_PAGE_SIZE,
    page_token: PageToken = None,
) -> Response:
    """List the users of a tenant, newest first. A deleted tenant has none."""
    page = await listing.page(caller, path_id, wanted, size=page_size, token=page_token)
    return conditional_response(page, if_none_match)
