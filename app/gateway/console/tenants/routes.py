"""Pages that show tenants."""

from contextlib import suppress
from typing import Annotated, get_args

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.auth.callers import Caller
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.forms import Form
from app.gateway.console.rendering import options, page
from app.gateway.console.tenants.actions import open_operation, possible_actions
from app.gateway.console.tenants.responses import NONE_NEEDED
from app.gateway.directory.listing import TenantListing
from app.gateway.directory.lookup import TenantLookup
from app.gateway.directory.parameters import Filter, PageToken, State, TenantPathId, Users
from app.gateway.directory.schemas import TenantDetails, TenantState, UserType
from app.gateway.directory.users import UserListing
from app.gateway.http.dependencies import service
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.parameters import Reader, check_workflow_id
from app.gateway.operations.problems import OperationNotFoundError
from app.gateway.operations.schemas import StatusDocument
from app.gateway.tenants.suspension import Suspensions
from workflows.operations.statuses import OperationStatus
from workflows.tenants.request import ProductCode
from workflows.tenants.steps import (
    ADDON_CHANGE,
    LICENCE_CHANGE,
    PRODUCT_CHANGE,
    REACTIVATION,
    SUSPENSION,
    WELCOME_EMAIL,
)

PAGE_SIZE = 50
# By the kind of an operation that was completed.
DONE = {
    SUSPENSION.name: "The tenant is suspended.",
    REACTIVATION.name: "The tenant is active again.",
    PRODUCT_CHANGE.name: "The product was changed.",
    LICENCE_CHANGE.name: "The licence was changed.",
    ADDON_CHANGE.name: "The add-ons were changed.",
    WELCOME_EMAIL.name: "The welcome mail was sent.",
}

router = APIRouter(prefix="/tenants", route_class=ConsoleRoute)

Tenants = Annotated[TenantLookup, service(TenantLookup)]
Operations = Annotated[OperationLookup, service(OperationLookup)]


@router.get("")
async def list_tenants(  # noqa: PLR0917 - FastAPI passes them by name
    request: Request,
    caller: Reader,
    listing: Annotated[TenantListing, service(TenantListing)],
    wanted: Filter,
    state: State = None,
    page_token: PageToken = None,
) -> Response:
    """Show the tenants, newest first."""
    found = await listing.page(caller, wanted, state, size=PAGE_SIZE, token=page_token)
    return page(
        request,
        "tenants/list.html",
        found=found,
        product_options=options(get_args(ProductCode)),
        state_options=options(TenantState),
        form=Form(dict(request.query_params)),
    )


@router.get("/{id}")
async def show_tenant(  # noqa: PLR0917 - FastAPI passes them by name
    request: Request,
    caller: Reader,
    tenants: Tenants,
    operations: Operations,
    suspensions: Annotated[Suspensions, service(Suspensions)],
    path_id: TenantPathId,
    changed: Annotated[str | None, Query(max_length=255)] = None,
) -> Response:
    """Show a tenant; `changed` is the operation that has just changed it."""
    tenant = await tenants.find(caller, path_id)
    is_suspended = tenant.state == TenantState.SUSPENDED
    return page(
        request,
        "tenants/tenant.html",
        tenant=tenant,
        suspension=await suspensions.preview(caller, path_id) if is_suspended else None,
        customer=await _customer(operations, caller, tenant),
        running=open_operation(tenant),
        actions=possible_actions(caller, tenant),
        done=await _completed(operations, caller, tenant, changed) if changed else None,
        is_unchanged=changed == NONE_NEEDED,
        DONE=DONE,
    )


@router.get("/{id}/users")
async def list_users(  # noqa: PLR0917 - FastAPI passes them by name
    request: Request,
    caller: Reader,
    tenants: Tenants,
    listing: Annotated[UserListing, service(UserListing)],
    path_id: TenantPathId,
    wanted: Users,
    page_token: PageToken = None,
) -> Response:
    """Show a tenant's users, newest first."""
    tenant = await tenants.find(caller, path_id)
    found = await listing.page(caller, path_id, wanted, size=PAGE_SIZE, token=page_token)
    return page(
        request,
        "tenants/users.html",
        tenant=tenant,
        found=found,
        type_options=options(UserType),
        form=Form(dict(request.query_params)),
    )


async def _customer(operations: OperationLookup, caller: Caller, tenant: TenantDetails) -> str | None:
    """Return the tenant's client in the management tenant, if its creation is known to have made one."""
    with suppress(OperationNotFoundError):
        creation = await operations.find_creation_for(caller, tenant.tenant_id)
        return (creation.document.result or {}).get("customerClientId")
    return None


async def _completed(
    operations: OperationLookup, caller: Caller, tenant: TenantDetails, workflow_id: str
) -> StatusDocument | None:
    """Return the operation if it is one on the tenant that has completed."""
    with suppress(OperationNotFoundError):
        operation = (await operations.find_for(caller, check_workflow_id(workflow_id))).document
        if operation.tenant_id == tenant.tenant_id and operation.status is OperationStatus.COMPLETED:
            return operation
    return None
