"""Pages that show exports, and the files of their archives."""

from contextlib import suppress
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Security
from starlette.requests import Request
from starlette.responses import Response

from app.auth.callers import Caller, Requester
from app.auth.scopes import Scope
from app.gateway.access.parameters import current_requester
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.console.attempts import Attempt
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.forms import Form, SubmittedForm, check_typed, name_to_type, validated
from app.gateway.console.live import Parts, live_parts
from app.gateway.console.rendering import page, render, see_other
from app.gateway.directory.lookup import TenantLookup
from app.gateway.directory.parameters import PageToken, TenantPathId
from app.gateway.directory.schemas import TenantState
from app.gateway.exports.content import ExportContent
from app.gateway.exports.exports import Exports, id_of_export
from app.gateway.exports.parameters import Exporter, ExportId, Filter, IfRange, Range, Table
from app.gateway.exports.responses import part_response, tar_response
from app.gateway.exports.schemas import ExportBody, ExportDetails
from app.gateway.http.concurrency import slot_of
from app.gateway.http.dependencies import find_service, service
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.parameters import Reader, check_workflow_id
from app.gateway.operations.problems import ExportNotFoundError, OperationNotFoundError
from app.gateway.operations.schemas import StatusDocument
from workflows.tenants.steps import TENANT_EXPORT

PAGE_SIZE = 25
FIELDS = ("typedName", "reason", "includeSecrets")

router = APIRouter(route_class=ConsoleRoute)

ExportService = Annotated[Exports, service(Exports)]
Content = Annotated[ExportContent, service(ExportContent)]
# The pages show the tenant or the export as well.
ReadingExporter = Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_READ, Scope.TENANTS_EXPORT])]
RequestedBy = Annotated[
    str | None, Query(alias="operation", description="The operation, as long as no worker has begun the export.")
]


@router.get("/exports")
async def list_exports(
    request: Request, caller: Reader, exports: ExportService, wanted: Filter, page_token: PageToken = None
) -> Response:
    """Show the exports of all tenants, newest first."""
    found = await exports.page_of_all(caller, wanted, size=PAGE_SIZE, token=page_token)
    return page(request, "exports/list.html", found=found, form=Form(dict(request.query_params)))


@router.get("/exports/{id}")
async def show_export(
    request: Request, caller: Reader, export_id: ExportId, requested_by: RequestedBy = None
) -> Response:
    """Show an export: how far it is, or what its archive holds."""
    context = await _context(request, caller, export_id, requested_by)
    query = f"?operation={requested_by}" if context["export"] is None else ""
    return page(request, "exports/export.html", live_query=query, **context)


@router.get("/exports/{id}/live")
async def follow_export(
    request: Request, caller: Reader, export_id: ExportId, requested_by: RequestedBy = None
) -> Response:
    """Send the parts of an export's page that change."""
    await _context(request, caller, export_id, requested_by)

    async def parts(caller: Caller) -> Parts:
        context = await _context(request, caller, export_id, requested_by)
        return Parts({"state": render(request, "exports/state.html", **context)}, is_final=context["has_ended"])

    return live_parts(request, caller, Scope.TENANTS_READ, parts)


@router.get("/exports/{id}/manifest")
async def download_manifest(caller: Reader, content: Content, export_id: ExportId) -> Response:
    """Send the manifest of an archive as a file."""
    manifest, _ = await content.manifest(caller, export_id)
    headers = {"Content-Disposition": 'attachment; filename="manifest.json"'}
    return Response(manifest, headers=headers, media_type="application/json")


@router.get("/exports/{id}/parts/{table}")
async def download_part(  # noqa: PLR0917 - FastAPI passes them by name
    requester: Exporter,
    request: Request,
    content: Content,
    export_id: ExportId,
    table: Table,
    wanted: Range = None,
    if_range: IfRange = None,
) -> Response:
    """Send the part of a table, or one range of it."""
    slot_of(request).become_download()
    return part_response(request, await content.part(requester, export_id, table, wanted, if_range))


@router.get("/exports/{id}/content")
async def download_archive(requester: Exporter, request: Request, content: Content, export_id: ExportId) -> Response:
    """Send the manifest and all parts as a tar."""
    slot_of(request).become_download()
    return tar_response(request, export_id, await content.tar(requester, export_id))


@router.get("/exports/{id}/remove")
async def ask_to_remove(
    request: Request, requester: ReadingExporter, exports: ExportService, export_id: ExportId
) -> Response:
    """Show which archive would be removed, and ask for its tenant's name."""
    return _remove_page(request, await exports.show(requester.caller, export_id), Form())


@router.post("/exports/{id}/remove")
async def remove_archive(
    request: Request,
    requester: ReadingExporter,
    form: SubmittedForm,
    exports: ExportService,
    export_id: ExportId,
) -> Response:
    """Remove an archive before it expires."""
    export = await exports.show(requester.caller, export_id)
    attempt = Attempt(request)
    with attempt:
        check_typed(form, "typedName", name_to_type(export.tenant_name, export.tenant_id))
        await exports.remove(export_id, requester)
        return see_other(request, f"/exports/{export_id}")
    rejected = form.rejected(attempt.problem, fields=FIELDS)
    return _remove_page(request, export, rejected, attempt.problem.status)


@router.get("/tenants/{id}/export")
async def ask_to_export(request: Request, requester: ReadingExporter, path_id: TenantPathId) -> Response:
    """Ask with or without secrets, and say what that means."""
    return await _request_page(request, requester, path_id, Form())


@router.post("/tenants/{id}/export")
async def request_export(
    request: Request,
    requester: ReadingExporter,
    form: SubmittedForm,
    exports: ExportService,
    path_id: TenantPathId,
) -> Response:
    """Request an export of a tenant."""
    attempt = Attempt(request)
    with attempt:
        content = {"includeSecrets": form.is_checked("includeSecrets"), "reason": form["reason"] or None}
        operation = await exports.request(path_id, validated(ExportBody, content), requester)
        path = f"/exports/{id_of_export(operation)}?operation={operation.workflow_id}"
        return see_other(request, path)
    rejected = form.rejected(attempt.problem, fields=FIELDS)
    return await _request_page(request, requester, path_id, rejected, attempt.problem.status)


async def _context(request: Request, caller: Caller, export_id: UUID, requested_by: str | None) -> dict[str, Any]:
    """Return an export and its operation; of one that no worker has begun, only the operation."""
    export: ExportDetails | None = None
    with suppress(ExportNotFoundError):
        export = await find_service(request, Exports).show(caller, export_id)
    operation = await _operation(request, caller, export.workflow_id if export is not None else requested_by)
    subject = export or operation
    if subject is None:
        raise ExportNotFoundError
    return {
        "export": export,
        "export_id": export_id,
        "operation": operation,
        "tenant_id": subject.tenant_id,
        "tenant_name": subject.tenant_name,
        "has_ended": operation.has_ended if operation is not None else True,
        "is_deleted": export is not None and await _is_deleted(request, caller, export.tenant_id),
    }


async def _operation(request: Request, caller: Caller, workflow_id: str | None) -> StatusDocument | None:
    """Return the operation that makes an export; None if it is too old, or the archive was imported."""
    if workflow_id is None:
        return None
    with suppress(OperationNotFoundError):
        lookup = find_service(request, OperationLookup)
        found = await lookup.find_for(caller, check_workflow_id(workflow_id), max_age=0.1)
        return found.document if found.snapshot.kind == TENANT_EXPORT.name else None
    return None


async def _is_deleted(request: Request, caller: Caller, tenant_id: UUID) -> bool:
    """Return whether the tenant is gone, so that the archive can be restored."""
    with suppress(TenantNotFoundError):
        tenant = await find_service(request, TenantLookup).find(caller, str(tenant_id))
        return tenant.state == TenantState.DELETED
    return True


def _remove_page(request: Request, export: ExportDetails, form: Form, status: int = 200) -> Response:
    if export.links.content is None and not form.message:
        return see_other(request, f"/exports/{export.export_id}")
    expected = name_to_type(export.tenant_name, export.tenant_id)
    return page(request, "exports/remove.html", status, export=export, expected=expected, form=form)


async def _request_page(
    request: Request, requester: Requester, path_id: str, form: Form, status: int = 200
) -> Response:
    tenant = await find_service(request, TenantLookup).find(requester.caller, path_id)
    return page(request, "exports/request.html", status, tenant=tenant, form=form)
