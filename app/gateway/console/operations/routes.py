"""Pages of operations."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from activities.operations.queries import OperationFilter
from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.gateway.access.parameters import require_scope
from app.gateway.console.attempts import Attempt
from app.gateway.console.console_route import ConsoleRoute, KindConsoleRoute
from app.gateway.console.forms import Form, SubmittedForm, validated
from app.gateway.console.live import Parts, live_parts
from app.gateway.console.operations.completed_pages import TEMPLATE, CompletedPages
from app.gateway.console.operations.shown import context_of
from app.gateway.console.rendering import html, options, page, render, see_other
from app.gateway.http.dependencies import find_service, service
from app.gateway.operations.cancellation import OperationCancellation
from app.gateway.operations.documents import OperationView
from app.gateway.operations.listing import Listing
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.parameters import Filter, KindRequester, PageToken, Reader, WorkflowId
from app.gateway.operations.schemas import MAX_REASON_LENGTH, CancelBody, OperationList
from app.gateway.operations.updates import OperationUpdates
from workflows.operations.kinds import KINDS
from workflows.operations.statuses import OperationStatus

PAGE_SIZE = 50
# Of the list, which costs more than one operation.
LIST_PACE_SECONDS = 2.0
# Elements of the pages, and the templates that fill them.
LIST_PARTS, OPERATION_PARTS = ("rows", "none"), ("spoken", "state", "steps", "facts")

router = APIRouter(prefix="/operations", route_class=ConsoleRoute)
kind_router = APIRouter(prefix="/operations", route_class=KindConsoleRoute)

Lookup = Annotated[OperationLookup, service(OperationLookup)]


@dataclass(frozen=True)
class OperationPages:
    """Pages of operations as they are now."""

    listing: Listing
    lookup: OperationLookup

    async def read(self, caller: Caller, wanted: OperationFilter, token: str | None) -> OperationList:
        """Return a page, the first one without a token."""
        found = await self.listing.page(caller, wanted, size=PAGE_SIZE, token=token)
        operations = await self.lookup.refresh(found.operations, max_age=LIST_PACE_SECONDS)
        return found.model_copy(update={"operations": tuple(operations)})


async def operation_pages(listing: Annotated[Listing, service(Listing)], lookup: Lookup) -> OperationPages:
    """Return the pages of operations."""
    return OperationPages(listing, lookup)


Pages = Annotated[OperationPages, Depends(operation_pages)]


@router.get("")
async def list_operations(
    request: Request, caller: Reader, pages: Pages, wanted: Filter, page_token: PageToken = None
) -> Response:
    """Show the operations, newest first. The first page is live."""
    found = await pages.read(caller, wanted, page_token)
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "pageToken"]
    times = {"startedAfter": _field(wanted.started_after), "startedBefore": _field(wanted.started_before)}
    return page(
        request,
        "operations/list.html",
        found=found,
        wanted=wanted,
        query=query,
        is_live=page_token is None,
        kind_options=options(KINDS),
        status_options=options(OperationStatus),
        form=Form({**dict(query), **times}),
    )


@router.get("/live/list")
async def follow_operations(request: Request, caller: Reader, pages: Pages, wanted: Filter) -> Response:
    """Send the first page of a list whenever it changes."""

    async def parts(caller: Caller) -> Parts:
        found = await pages.read(caller, wanted, None)
        query = request.query_params.multi_items()
        return Parts(
            {name: render(request, f"operations/{name}.html", found=found, query=query) for name in LIST_PARTS}
        )

    return live_parts(request, caller, Scope.TENANTS_READ, parts, pace=LIST_PACE_SECONDS)


@router.get("/{id}")
async def show_operation(request: Request, caller: Reader, lookup: Lookup, workflow_id: WorkflowId) -> Response:
    """Show an operation."""
    operation = await lookup.find_for(caller, workflow_id)
    return html(find_service(request, CompletedPages).render(request, operation, caller))


@router.get("/{id}/live")
async def follow_operation(request: Request, caller: Reader, lookup: Lookup, workflow_id: WorkflowId) -> Response:
    """Send the parts of an operation's page that change."""
    await lookup.find_for(caller, workflow_id)

    async def parts(caller: Caller) -> Parts:
        operation = await lookup.find_for(caller, workflow_id, max_age=0.1)
        context = context_of(operation, caller)
        texts = {name: render(request, f"operations/{name}.html", **context) for name in OPERATION_PARTS}
        return Parts(texts, is_final=operation.document.has_ended)

    return live_parts(request, caller, Scope.TENANTS_READ, parts)


@kind_router.post("/{id}/resume")
async def resume_operation(
    request: Request,
    requester: KindRequester,
    lookup: Lookup,
    updates: Annotated[OperationUpdates, service(OperationUpdates)],
    workflow_id: WorkflowId,
) -> Response:
    """Start the next attempt at once."""
    attempt = Attempt(request)
    with attempt:
        operation = await updates.resume(workflow_id, requester)
        return see_other(request, operation.document.links.self)
    problem = attempt.problem
    operation = await lookup.find_for(requester.caller, workflow_id)
    context = context_of(operation, requester.caller)
    return page(request, TEMPLATE, problem.status, message=problem.detail, **context)


@kind_router.get("/{id}/cancel")
async def ask_to_cancel(
    request: Request, requester: KindRequester, lookup: Lookup, workflow_id: WorkflowId
) -> Response:
    """Show what a cancel of the operation would do, and ask for the reason."""
    operation = await lookup.find_for(requester.caller, workflow_id)
    require_scope(requester.caller, operation.kind.cancel_scope)
    return _cancel_page(request, operation, requester.caller, Form())


@kind_router.post("/{id}/cancel")
async def cancel_operation(  # noqa: PLR0917 - FastAPI passes them by name
    request: Request,
    requester: KindRequester,
    form: SubmittedForm,
    lookup: Lookup,
    cancellation: Annotated[OperationCancellation, service(OperationCancellation)],
    workflow_id: WorkflowId,
) -> Response:
    """Cancel an operation."""
    attempt = Attempt(request)
    with attempt:
        body = validated(CancelBody, {"reason": form["reason"] or None})
        operation = await cancellation.cancel(workflow_id, requester, body.reason)
        return see_other(request, operation.document.links.self)
    problem = attempt.problem
    operation = await lookup.find_for(requester.caller, workflow_id)
    rejected = form.rejected(problem, fields=("reason",))
    return _cancel_page(request, operation, requester.caller, rejected, problem.status)


def _cancel_page(
    request: Request, operation: OperationView, caller: Caller, form: Form, status: int = 200
) -> Response:
    context = context_of(operation, caller)
    return page(request, "operations/cancel.html", status, form=form, max_reason=MAX_REASON_LENGTH, **context)


def _field(moment: datetime | None) -> str:
    """Return a time for a browser's field, which is in UTC."""
    return f"{moment:%Y-%m-%dT%H:%M}" if moment is not None else ""
