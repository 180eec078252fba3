"""Pages that request, confirm and undo deletions. Each shows first what it will do."""

from typing import Annotated

from fastapi import APIRouter, Security
from starlette.requests import Request
from starlette.responses import Response

from app.auth.callers import Requester
from app.auth.scopes import Scope
from app.gateway.access.parameters import current_requester
from app.gateway.console.attempts import Attempt
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.deletions.preview import preview
from app.gateway.console.forms import Form, SubmittedForm, check_typed, name_to_type, number_of, validated
from app.gateway.console.rendering import page, see_other
from app.gateway.deletions.deletion import Deletions, is_same_person
from app.gateway.deletions.schemas import GRACE_PERIOD_DAYS, DeletionBody, UndoBody
from app.gateway.directory.parameters import TenantPathId
from app.gateway.directory.protection import refuse_management_tenant
from app.gateway.directory.schemas import TenantState
from app.gateway.http.dependencies import find_service, service
from app.settings import Settings

FIELDS = ("typedName", "reason", "gracePeriodDays", "export", "confirm")

router = APIRouter(route_class=ConsoleRoute)

DeletionService = Annotated[Deletions, service(Deletions)]
GatewaySettings = Annotated[Settings, service(Settings)]
# The pages show the tenant as well.
Deleter = Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_READ, Scope.TENANTS_DELETE])]
Confirmer = Annotated[
    Requester, Security(current_requester, scopes=[Scope.TENANTS_READ, Scope.TENANTS_CONFIRM_DELETION])
]


@router.get("/tenants/{id}/delete")
async def ask_to_delete(
    request: Request, requester: Deleter, settings: GatewaySettings, path_id: TenantPathId
) -> Response:
    """Show what a deletion of the tenant would do, and ask for its name."""
    form = Form(
        {
            "gracePeriodDays": str(GRACE_PERIOD_DAYS),
            "export": "on" if settings.export_url is not None else "",
        }
    )
    return await _request_page(request, requester, path_id, form)


@router.post("/tenants/{id}/delete")
async def request_deletion(
    request: Request,
    requester: Deleter,
    form: SubmittedForm,
    deletions: DeletionService,
    path_id: TenantPathId,
) -> Response:
    """Request the deletion of a tenant."""
    tenant = await deletions.tenants.find(requester.caller, path_id)
    attempt = Attempt(request)
    with attempt:
        check_typed(form, "typedName", name_to_type(tenant.name, tenant.tenant_id))
        content = {
            "reason": form["reason"],
            "gracePeriodDays": number_of(form["gracePeriodDays"]),
            "export": form.is_checked("export"),
            "confirm": form.is_checked("confirm"),
        }
        await deletions.request(path_id, validated(DeletionBody, content), requester)
        return see_other(request, f"/deletions/{tenant.tenant_id}")
    rejected = form.rejected(attempt.problem, fields=FIELDS)
    return await _request_page(request, requester, path_id, rejected, attempt.problem.status)


@router.get("/deletions/{id}/confirm")
async def ask_to_confirm(request: Request, requester: Confirmer, path_id: TenantPathId) -> Response:
    """Show which deletion would be confirmed, who has requested it, and what it removes."""
    return await _confirm_page(request, requester, path_id, Form())


@router.post("/deletions/{id}/confirm")
async def confirm_deletion(
    request: Request,
    requester: Confirmer,
    form: SubmittedForm,
    deletions: DeletionService,
    path_id: TenantPathId,
) -> Response:
    """Confirm the open deletion of a tenant."""
    deletion = await deletions.show(requester.caller, path_id)
    attempt = Attempt(request)
    with attempt:
        check_typed(form, "typedName", name_to_type(deletion.tenant_name, deletion.tenant_id))
        await deletions.confirm(path_id, requester)
        return see_other(request, f"/deletions/{deletion.tenant_id}")
    rejected = form.rejected(attempt.problem, fields=FIELDS)
    return await _confirm_page(request, requester, path_id, rejected, attempt.problem.status)


@router.get("/deletions/{id}/undo")
async def ask_to_undo(request: Request, requester: Deleter, path_id: TenantPathId) -> Response:
    """Show what an undo brings back, and until when it is possible."""
    return await _undo_page(request, requester, path_id, Form())


@router.post("/deletions/{id}/undo")
async def undo_deletion(
    request: Request,
    requester: Deleter,
    form: SubmittedForm,
    deletions: DeletionService,
    path_id: TenantPathId,
) -> Response:
    """Undo the open deletion of a tenant."""
    attempt = Attempt(request)
    with attempt:
        reason = validated(UndoBody, {"reason": form["reason"] or None}).reason
        operation = await deletions.undo(path_id, reason, requester)
        return see_other(request, f"/deletions/{operation.snapshot.tenant_id}")
    rejected = form.rejected(attempt.problem, fields=FIELDS)
    return await _undo_page(request, requester, path_id, rejected, attempt.problem.status)


async def _request_page(
    request: Request, requester: Requester, path_id: str, form: Form, status: int = 200
) -> Response:
    settings = find_service(request, Settings)
    found = await preview(request, requester.caller, path_id)
    tenant = found.tenant
    if tenant.state == TenantState.DELETED:
        return see_other(request, f"/deletions/{tenant.tenant_id}")
    refuse_management_tenant(settings, tenant.tenant_id)
    return page(
        request,
        "deletions/request.html",
        status,
        preview=found,
        tenant=tenant,
        expected=name_to_type(tenant.name, tenant.tenant_id),
        can_export=settings.export_url is not None,
        can_confirm=Scope.TENANTS_CONFIRM_DELETION in requester.caller.scopes and not settings.deletion_two_person,
        is_two_person=settings.deletion_two_person,
        form=form,
    )


async def _confirm_page(
    request: Request, requester: Requester, path_id: str, form: Form, status: int = 200
) -> Response:
    deletion = await find_service(request, Deletions).show(requester.caller, path_id)
    if deletion.links.confirm is None and not form.message:
        return see_other(request, f"/deletions/{deletion.tenant_id}")
    return page(
        request,
        "deletions/confirm.html",
        status,
        deletion=deletion,
        preview=await preview(request, requester.caller, path_id),
        expected=name_to_type(deletion.tenant_name, deletion.tenant_id),
        is_refused=deletion.needs_second_person and is_same_person(deletion, requester),
        identity=requester.caller.identity,
        form=form,
    )


async def _undo_page(request: Request, requester: Requester, path_id: str, form: Form, status: int = 200) -> Response:
    deletion = await find_service(request, Deletions).show(requester.caller, path_id)
    if deletion.links.undo is None and not form.message:
        return see_other(request, f"/deletions/{deletion.tenant_id}")
    return page(request, "deletions/undo.html", status, deletion=deletion, form=form)
