"""Pages of deletions, and of their certificates."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from activities.operations.queries import OperationFilter
from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.deletions.advice import advice_for
from app.gateway.console.forms import Form
from app.gateway.console.live import Parts, live_parts
from app.gateway.console.rendering import page, render
from app.gateway.deletions.deletion import Deletions
from app.gateway.directory.lookup import TenantLookup
from app.gateway.directory.parameters import TenantPathId
from app.gateway.http.dependencies import find_service, service
from app.gateway.operations.listing import Listing
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.parameters import Filter, PageToken, Reader
from app.gateway.operations.schemas import OperationList
from workflows.operations.statuses import OperationStatus
from workflows.tenants.steps import DELETION

MAX_OPEN = 50
PAGE_SIZE = 25
# Seconds between two looks at the open deletions.
LIST_PACE = 5.0
OPEN = tuple(status for status in OperationStatus if status.is_open)
ENDED = tuple(status for status in OperationStatus if not status.is_open)

router = APIRouter(prefix="/deletions", route_class=ConsoleRoute)

DeletionService = Annotated[Deletions, service(Deletions)]


@router.get("")
async def list_deletions(request: Request, caller: Reader, wanted: Filter, page_token: PageToken = None) -> Response:
    """Show the open deletions, and then those that have ended, newest first."""
    wanted = replace(wanted, kind=DELETION.name)
    statuses = _chosen(wanted, ENDED)
    ended = OperationList(operations=(), next_page_token=None)
    if statuses:
        listing = find_service(request, Listing)
        ended = await listing.page(caller, replace(wanted, statuses=statuses), size=PAGE_SIZE, token=page_token)
    return page(
        request,
        "deletions/list.html",
        open=await _open(request, caller, wanted),
        ended=ended,
        shows_ended=bool(statuses),
        form=Form(dict(request.query_params)),
    )


@router.get("/live")
async def follow_deletions(request: Request, caller: Reader, wanted: Filter) -> Response:
    """Send the open deletions whenever they have changed."""

    async def parts(caller: Caller) -> Parts:
        found = await _open(request, caller, replace(wanted, kind=DELETION.name))
        return Parts({"open": render(request, "deletions/open.html", open=found)})

    return live_parts(request, caller, Scope.TENANTS_READ, parts, pace=LIST_PACE)


@router.get("/{id}")
async def show_deletion(request: Request, caller: Reader, path_id: TenantPathId) -> Response:
    """Show the newest deletion of a tenant."""
    return page(request, "deletions/deletion.html", **await _context(request, caller, path_id))


@router.get("/{id}/live")
async def follow_deletion(request: Request, caller: Reader, path_id: TenantPathId) -> Response:
    """Send the parts of a deletion's page that change."""
    await _context(request, caller, path_id)

    async def parts(caller: Caller) -> Parts:
        context = await _context(request, caller, path_id)
        return Parts({"state": render(request, "deletions/state.html", **context)}, is_final=context["has_ended"])

    return live_parts(request, caller, Scope.TENANTS_READ, parts)


@router.get("/{id}/certificate")
async def show_certificate(
    request: Request, caller: Reader, deletions: DeletionService, path_id: TenantPathId
) -> Response:
    """Show the certificate of a tenant's newest completed deletion, verified."""
    signed, certificate = await deletions.certificate(caller, path_id, checks_place=True)
    return page(request, "deletions/certificate.html", certificate=certificate, mac=signed.mac.hex())


@router.get("/{id}/certificate/file")
async def download_certificate(caller: Reader, deletions: DeletionService, path_id: TenantPathId) -> Response:
    """Send the certificate as the file that `alga-tenants certificate verify` reads."""
    signed, certificate = await deletions.certificate(caller, path_id)
    name = f"certificate-{certificate.tenant.id}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(signed.json, headers=headers, media_type="application/json")


async def _open(request: Request, caller: Caller, wanted: OperationFilter) -> OperationList | None:
    """Return the open deletions as Temporal has them; None if the filter excludes them."""
    statuses = _chosen(wanted, OPEN)
    if not statuses:
        return None
    listed = await find_service(request, Listing).page(
        caller, replace(wanted, statuses=statuses), size=MAX_OPEN, token=None
    )
    operations = await find_service(request, OperationLookup).refresh(listed.operations, max_age=LIST_PACE / 2)
    return listed.model_copy(update={"operations": tuple(operations)})


def _chosen(wanted: OperationFilter, statuses: Sequence[OperationStatus]) -> tuple[OperationStatus, ...]:
    return tuple(status for status in statuses if not wanted.statuses or status in wanted.statuses)


async def _context(request: Request, caller: Caller, path_id: str) -> dict[str, Any]:
    deletion = await find_service(request, Deletions).show(caller, path_id)
    try:
        tenant = await find_service(request, TenantLookup).find(caller, path_id)
    except TenantNotFoundError:
        tenant = None
    operation = deletion.operation
    return {
        "deletion": deletion,
        "operation": operation,
        "tenant": tenant,
        "advice": advice_for(operation.error) if operation is not None and operation.error is not None else None,
        "has_ended": operation.has_ended if operation is not None else True,
    }
