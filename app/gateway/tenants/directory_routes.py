"""Routes of tenants as the database has them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Security
from starlette.responses import Response

from activities.alga.across_tenants import TenantFilter
from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.gateway.access.parameters import current_caller
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.access.route import AuthenticatedRoute
from app.gateway.http.openapi import COMMON_PROBLEMS, problems
from app.gateway.http.parameters import DEFAULT_PAGE, PageSize
from app.gateway.http.problems.request_problems import DatabaseOutageError, InvalidRequestError
from app.gateway.http.provided import provide
from app.gateway.http.responses import document_response
from app.gateway.tenants.directory import TENANT_PAGE_TOKEN, Directory
from app.gateway.tenants.directory_documents import TenantDocument, TenantList, TenantState
from workflows.operations.messages import ProductCode

MAX_SEARCH_LENGTH = 255
NO_NUL = r"^[^\x00]*$"

router = APIRouter(
    prefix="/tenants",
    tags=["tenants"],
    route_class=AuthenticatedRoute,
    responses=problems(*COMMON_PROBLEMS, DatabaseOutageError),
)

TenantReader = Annotated[Caller, Security(current_caller, scopes=[Scope.TENANTS_READ])]


async def tenant_filter(
    search: Annotated[
        str | None,
        Query(
            pattern=NO_NUL,
            max_length=MAX_SEARCH_LENGTH,
            description="A tenant id, or part of a name or e-mail in any case.",
        ),
    ] = None,
    product_code: Annotated[ProductCode | None, Query(alias="productCode", description="The product.")] = None,
    state: Annotated[TenantState | None, Query(description="Whether the tenant may be used.")] = None,
) -> TenantFilter:
    """Return which tenants are to be listed."""
    is_suspended = None if state is None else state is TenantState.SUSPENDED
    return TenantFilter(search=search, product_code=product_code, is_suspended=is_suspended)


PageToken = Annotated[
    str | None, Query(alias="pageToken", pattern=TENANT_PAGE_TOKEN, description="`nextPageToken` of a page.")
]


@router.get("", summary="List tenants", response_model=TenantList, responses=problems(InvalidRequestError))
async def list_tenants(
    caller: TenantReader,
    directory: Annotated[Directory, Depends(provide(Directory))],
    wanted: Annotated[TenantFilter, Depends(tenant_filter)],
    page_size: PageSize = DEFAULT_PAGE,
    page_token: PageToken = None,
) -> Response:
    """Show tenants as the database has them, newest first, no matter who created them."""
    return document_response(await directory.page(caller, wanted, size=page_size, token=page_token))


@router.get("/{id}", summary="Read a tenant", response_model=TenantDocument, responses=problems(TenantNotFoundError))
async def read_tenant(
    caller: TenantReader,
    directory: Annotated[Directory, Depends(provide(Directory))],
    path_id: Annotated[str, Path(alias="id", description="The tenant's id, a UUID.")],
) -> Response:
    """Show a tenant as the database has it. An operation is at `/operations/{id}`."""
    return document_response(await directory.find(caller, path_id))
