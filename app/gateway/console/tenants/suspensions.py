"""Suspends and reactivates tenants."""

from typing import Annotated

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.auth.callers import Caller
from app.gateway.console.attempts import Attempt
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.forms import Form, SubmittedForm, check_typed, name_to_type, validated
from app.gateway.console.rendering import page
from app.gateway.console.tenants.responses import changed
from app.gateway.directory.parameters import TenantPathId
from app.gateway.http.dependencies import service
from app.gateway.tenants.routes import Suspender
from app.gateway.tenants.schemas import SuspensionBody
from app.gateway.tenants.suspension import Suspensions

router = APIRouter(prefix="/tenants/{id}", route_class=ConsoleRoute)

Service = Annotated[Suspensions, service(Suspensions)]


@router.get("/suspend")
async def ask_suspension(
    request: Request, requester: Suspender, suspensions: Service, path_id: TenantPathId
) -> Response:
    """Show what a suspension would change."""
    return await _suspension(request, suspensions, requester.caller, path_id, Form(), 200)


@router.post("/suspend")
async def suspend_tenant(
    request: Request, requester: Suspender, suspensions: Service, path_id: TenantPathId, form: SubmittedForm
) -> Response:
    """Suspend a tenant."""
    attempt = Attempt(request)
    with attempt:
        body = validated(SuspensionBody, {"reason": form["reason"]})
        preview = await suspensions.preview(requester.caller, path_id)
        check_typed(form, "typedName", name_to_type(preview.name, preview.tenant_id))
        return changed(request, await suspensions.suspend(path_id, body.reason, requester, None))
    shown = form.rejected(attempt.problem, fields=("reason", "typedName"))
    return await _suspension(request, suspensions, requester.caller, path_id, shown, attempt.problem.status)


@router.get("/reactivate")
async def ask_reactivation(
    request: Request, requester: Suspender, suspensions: Service, path_id: TenantPathId
) -> Response:
    """Show what a reactivation would put back."""
    return await _reactivation(request, suspensions, requester.caller, path_id, Form(), 200)


@router.post("/reactivate")
async def reactivate_tenant(
    request: Request, requester: Suspender, suspensions: Service, path_id: TenantPathId, form: SubmittedForm
) -> Response:
    """Reactivate a tenant."""
    attempt = Attempt(request)
    with attempt:
        return changed(request, await suspensions.reactivate(path_id, requester, None))
    shown = form.rejected(attempt.problem)
    return await _reactivation(request, suspensions, requester.caller, path_id, shown, attempt.problem.status)


async def _suspension(  # noqa: PLR0917 - of the page
    request: Request, suspensions: Suspensions, caller: Caller, path_id: str, form: Form, status: int
) -> Response:
    preview = await suspensions.preview(caller, path_id)
    to_type = name_to_type(preview.name, preview.tenant_id)
    return page(request, "tenants/suspend.html", status, tenant=preview, to_type=to_type, form=form)


async def _reactivation(  # noqa: PLR0917 - of the page
    request: Request, suspensions: Suspensions, caller: Caller, path_id: str, form: Form, status: int
) -> Response:
    preview = await suspensions.preview(caller, path_id)
    return page(request, "tenants/reactivate.html", status, tenant=preview, form=form)
