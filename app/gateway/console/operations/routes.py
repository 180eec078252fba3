"""Pages of operations."""

from typing import Annotated, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.gateway.console.console_route import ConsoleRoute, KindConsoleRoute
from app.gateway.console.forms import Form, SubmittedForm
from app.gateway.console.live import Parts, live_parts
from app.gateway.console.rendering import options, page, render, see_other
from app.gateway.http.dependencies import service
from app.gateway.operations.cancellation import OperationCancellation
from app.gateway.operations.documents import OperationView
from app.gateway.operations.listing import Listing
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.parameters import Filter, KindRequester, PageToken, Reader, WorkflowId
from app.gateway.operations.updates import OperationUpdates
from workflows.operations.kinds import KINDS
from workflows.operations.statuses import OperationStatus

PAGE_SIZE = 50

router = APIRouter(prefix="/operations", route_class=ConsoleRoute)
kind_router = APIRouter(prefix="/operations", route_class=KindConsoleRoute)

Lookup = Annotated[OperationLookup, service(OperationLookup)]


@router.get("")
async def list_operations(
    request: Request,
    caller: Reader,
    listing: Annotated[Listing, service(Listing)],
    wanted: Filter,
    page_token: PageToken = None,
) -> Response:
    """Show the operations, newest first."""
    found = await listing.page(caller, wanted, size=PAGE_SIZE, token=page_token)
    return page(
        request,
        "operations/list.html",
        found=found,
        wanted=wanted,
        kind_options=options(KINDS),
        status_options=options(OperationStatus),
        form=Form(dict(request.query_params)),
    )


@router.get("/{id}")
async def show_operation(request: Request, caller: Reader, lookup: Lookup, workflow_id: WorkflowId) -> Response:
    """Show an operation."""
    operation = await lookup.find_for(caller, workflow_id)
    return page(request, "operations/operation.html", **_context(operation))


@router.get("/{id}/live")
async def follow_operation(request: Request, caller: Reader, lookup: Lookup, workflow_id: WorkflowId) -> Response:
    """Send the parts of an operation's page that change."""
    await lookup.find_for(caller, workflow_id)

    async def parts(caller: Caller) -> Parts:
        operation = await lookup.find_for(caller, workflow_id, max_age=0.1)
        context = _context(operation)
        return Parts(
            {"state": render(request, "operations/state.html", **context)}, is_final=operation.document.has_ended
        )

    return live_parts(request, caller, Scope.TENANTS_READ, parts)


@kind_router.post("/{id}/resume")
async def resume_operation(
    request: Request,
    requester: KindRequester,
    updates: Annotated[OperationUpdates, service(OperationUpdates)],
    workflow_id: WorkflowId,
) -> Response:
    """Start the next attempt at once."""
    operation = await updates.resume(workflow_id, requester)
    return see_other(request, operation.document.links.self)


@kind_router.post("/{id}/cancel")
async def cancel_operation(
    request: Request,
    requester: KindRequester,
    form: SubmittedForm,
    cancellation: Annotated[OperationCancellation, service(OperationCancellation)],
    workflow_id: WorkflowId,
) -> Response:
    """Cancel an operation."""
    operation = await cancellation.cancel(workflow_id, requester, form["reason"] or None)
    return see_other(request, operation.document.links.self)


def _context(operation: OperationView) -> dict[str, Any]:
    return {"operation": operation.document, "kind": KINDS.get(operation.snapshot.kind)}
