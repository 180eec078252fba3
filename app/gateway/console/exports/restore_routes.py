"""Pages that restore a tenant from an archive: first a dry run, then the restore."""

from typing import Annotated, Any

from fastapi import APIRouter, Security
from starlette.requests import Request
from starlette.responses import Response

from app.auth.callers import Caller, Requester
from app.auth.scopes import Scope
from app.gateway.access.parameters import current_requester
from app.gateway.console.attempts import Attempt
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.forms import Form, SubmittedForm, check_typed, name_to_type
from app.gateway.console.live import Parts, live_parts
from app.gateway.console.rendering import page, render, see_other
from app.gateway.exports.exports import Exports
from app.gateway.exports.parameters import ExportId
from app.gateway.exports.restores import Restores
from app.gateway.exports.schemas import RestoreBody
from app.gateway.http.dependencies import find_service, service
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.parameters import Reader, check_workflow_id
from app.gateway.operations.problems import OperationNotFoundError
from workflows.tenants.steps import TENANT_RESTORE

FIELDS = ("typedName",)

router = APIRouter(prefix="/exports/{id}/restore", route_class=ConsoleRoute)

RestoreService = Annotated[Restores, service(Restores)]
# The pages show the export as well.
Restorer = Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_READ, Scope.TENANTS_RESTORE])]


@router.get("")
async def ask_to_check(request: Request, requester: Restorer, export_id: ExportId) -> Response:
    """Show what a restore is, and offer a dry run."""
    return await _first_page(request, requester, export_id, Form())


@router.post("")
async def check_restore(
    request: Request, requester: Restorer, form: SubmittedForm, restores: RestoreService, export_id: ExportId
) -> Response:
    """Start a dry run."""
    attempt = Attempt(request)
    with attempt:
        operation = await restores.request(RestoreBody(export_id=export_id, dry_run=True), requester)
        return see_other(request, f"/exports/{export_id}/restore/{operation.workflow_id}")
    rejected = form.rejected(attempt.problem)
    return await _first_page(request, requester, export_id, rejected, attempt.problem.status)


@router.get("/{run}")
async def show_restore(request: Request, caller: Reader, export_id: ExportId, run: str) -> Response:
    """Show a dry run with its findings, or a restore."""
    return page(request, "exports/restoring.html", form=Form(), **await _context(request, caller, export_id, run))


@router.get("/{run}/live")
async def follow_restore(request: Request, caller: Reader, export_id: ExportId, run: str) -> Response:
    """Send the parts of a restore's page that change."""
    await _context(request, caller, export_id, run)

    async def parts(caller: Caller) -> Parts:
        context = await _context(request, caller, export_id, run)
        text = render(request, "exports/restoring_state.html", form=Form(), **context)
        return Parts({"state": text}, is_final=context["operation"].has_ended)

    return live_parts(request, caller, Scope.TENANTS_READ, parts)


@router.post("/{run}")
async def restore(  # noqa: PLR0917 - FastAPI passes them by name
    request: Request,
    requester: Restorer,
    form: SubmittedForm,
    restores: RestoreService,
    export_id: ExportId,
    run: str,
) -> Response:
    """Restore the tenant after the dry run that this page shows."""
    context = await _context(request, requester.caller, export_id, run)
    attempt = Attempt(request)
    with attempt:
        check_typed(form, "typedName", context["expected"])
        operation = await restores.request(RestoreBody(export_id=export_id), requester)
        return see_other(request, f"/exports/{export_id}/restore/{operation.workflow_id}")
    rejected = form.rejected(attempt.problem, fields=FIELDS)
    return page(request, "exports/restoring.html", attempt.problem.status, form=rejected, **context)


async def _first_page(
    request: Request, requester: Requester, export_id: ExportId, form: Form, status: int = 200
) -> Response:
    export = await find_service(request, Exports).show(requester.caller, export_id)
    return page(request, "exports/restore.html", status, export=export, form=form)


async def _context(request: Request, caller: Caller, export_id: ExportId, run: str) -> dict[str, Any]:
    export = await find_service(request, Exports).show(caller, export_id)
    found = await find_service(request, OperationLookup).find_for(caller, check_workflow_id(run), max_age=0.1)
    asked_for = found.snapshot.parameters
    if found.snapshot.kind != TENANT_RESTORE.name or asked_for.get("exportId") != str(export_id):
        raise OperationNotFoundError
    return {
        "export": export,
        "operation": found.document,
        "is_dry_run": bool(asked_for.get("dryRun")),
        "expected": name_to_type(export.tenant_name, export.tenant_id),
    }
