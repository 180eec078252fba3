"""Routes of changes of a tenant's product."""

from typing import Annotated

from fastapi import APIRouter, Security
from starlette.responses import Response

from app.auth.callers import Requester
from app.auth.scopes import Scope
from app.gateway.access.authenticated_route import AuthenticatedRoute
from app.gateway.access.parameters import current_requester
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.directory.changes import CHANGING, ShorterWait
from app.gateway.directory.parameters import TenantPathId
from app.gateway.directory.problems import UnreadableTablesError
from app.gateway.directory.schemas import TenantDetails
from app.gateway.http.dependencies import service
from app.gateway.http.openapi import COMMON_PROBLEMS, problems
from app.gateway.http.problems.request_problems import DatabaseOutageError, InvalidRequestError
from app.gateway.http.responses import document_response
from app.gateway.operations.parameters import Reader
from app.gateway.operations.problems import (
    ManagementTenantError,
    OperationStoppingError,
    StripeSubscriptionError,
    TenantSuspendedError,
)
from app.gateway.operations.routes import START_PROBLEMS
from app.gateway.product_changes.parameters import DEFAULT_PRODUCT, NewProductChange, PreviewedProduct
from app.gateway.product_changes.product_change import ProductChanges
from app.gateway.product_changes.schemas import ProductChangePreview

router = APIRouter(
    prefix="/tenants/{id}/product-change",
    tags=["tenants"],
    route_class=AuthenticatedRoute,
    responses=problems(*COMMON_PROBLEMS, TenantNotFoundError, DatabaseOutageError),
)

Service = Annotated[ProductChanges, service(ProductChanges)]
Changer = Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_CHANGE])]


@router.post(
    "",
    summary="Change a tenant's product",
    response_model=TenantDetails,
    responses={
        **CHANGING,
        **problems(
            *START_PROBLEMS,
            ManagementTenantError,
            OperationStoppingError,
            StripeSubscriptionError,
            TenantSuspendedError,
        ),
    },
)
async def change_product(
    requester: Changer,
    changes: Service,
    path_id: TenantPathId,
    body: NewProductChange,  # noqa: ARG001 - has one valid value
    wait: ShorterWait,
) -> Response:
    """Make a tenant of product algadesk one of product psa: all in one transaction, and nothing is taken from it.

    It gets the rows that a new tenant of product psa has and this one lacks, compared by their names. Its Agents also
    become Technicians. A tenant of product psa stays as it is. There is no way back.
    """
    return (await changes.change(path_id, requester, wait)).response(wait)


@router.get(
    "",
    summary="Preview a change of product",
    response_model=ProductChangePreview,
    responses=problems(InvalidRequestError, UnreadableTablesError),
)
async def preview_product_change(
    caller: Reader,
    changes: Service,
    path_id: TenantPathId,
    product_code: PreviewedProduct = DEFAULT_PRODUCT,  # noqa: ARG001 - has one valid value
) -> Response:
    """Return which rows a change would add, by table and with examples, what stays, and why it would be refused."""
    return document_response(await changes.preview(caller, path_id))
