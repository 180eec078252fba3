"""Changes the product of tenants."""

from typing import Annotated

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.auth.callers import Caller
from app.gateway.console.attempts import Attempt
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.forms import Form, SubmittedForm, check_typed, name_to_type
from app.gateway.console.rendering import page
from app.gateway.console.tenants.responses import changed
from app.gateway.directory.parameters import TenantPathId
from app.gateway.http.dependencies import service
from app.gateway.product_changes.product_change import ProductChanges
from app.gateway.product_changes.routes import Changer

router = APIRouter(prefix="/tenants/{id}/product", route_class=ConsoleRoute)

Service = Annotated[ProductChanges, service(ProductChanges)]


@router.get("")
async def ask_product_change(
    request: Request, requester: Changer, changes: Service, path_id: TenantPathId
) -> Response:
    """Show what a change of the product would write."""
    return await _page(request, changes, requester.caller, path_id, Form(), 200)


@router.post("")
async def change_product(
    request: Request, requester: Changer, changes: Service, path_id: TenantPathId, form: SubmittedForm
) -> Response:
    """Change the product of a tenant."""
    attempt = Attempt(request)
    with attempt:
        preview = await changes.preview(requester.caller, path_id)
        check_typed(form, "typedName", name_to_type(preview.name, preview.tenant_id))
        return changed(request, await changes.change(path_id, requester, None))
    shown = form.rejected(attempt.problem, fields=("typedName",))
    return await _page(request, changes, requester.caller, path_id, shown, attempt.problem.status)


async def _page(  # noqa: PLR0917 - of the page
    request: Request, changes: ProductChanges, caller: Caller, path_id: str, form: Form, status: int
) -> Response:
    preview = await changes.preview(caller, path_id)
    to_type = name_to_type(preview.name, preview.tenant_id)
    return page(request, "tenants/product.html", status, tenant=preview, to_type=to_type, form=form)
