"""Routes of operations of every kind. Those that read one operation are in `status_routes`."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Security
from fastapi.sse import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.auth.callers import Caller, Requester
from app.auth.scopes import Scope
from app.gateway.access.parameters import current_caller, current_requester
from app.gateway.access.route import AuthenticatedRoute, KindScopedRoute, authenticate_again
from app.gateway.http.concurrency import slot_of
from app.gateway.http.dependencies import service
from app.gateway.http.openapi import BODY_PROBLEMS, COMMON_PROBLEMS, LOCATION, RETRY_AFTER, Responses, problems
from app.gateway.http.parameters import DEFAULT_PAGE_SIZE, PageSize
from app.gateway.http.problems.request_problems import (
    BadOnBehalfOfError,
    DatabaseOutageError,
    InvalidRequestError,
    OverloadedError,
    RateLimitedError,
    TemporalOutageError,
    TooManyRequestsError,
    TooManyStreamsError,
    WorkerOutageError,
)
from app.gateway.http.responses import document_response
from app.gateway.operations.cancellation import OperationCancellation
from app.gateway.operations.events import STATUS_EVENT_SCHEMA, follow
from app.gateway.operations.listing import Listing
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.parameters import CancelReason, ChangedTenant, Filter, LastEventId, PageToken, WorkflowId
from app.gateway.operations.problems import (
    OperationCommittedError,
    OperationFinishedError,
    OperationKindUnknownError,
    OperationNotFoundError,
    OperationStoppingError,
    OperationUnreadableError,
    ParameterUsedError,
    UnknownBillingPlanError,
)
from app.gateway.operations.responses import accepted, retry_after
from app.gateway.operations.schemas import OperationList, StatusDocument
from app.gateway.operations.updates import OperationUpdates
from workflows.operations.kinds import KINDS

COMMON = problems(*COMMON_PROBLEMS, TemporalOutageError, DatabaseOutageError)
router = APIRouter(prefix="/operations", tags=["operations"], route_class=AuthenticatedRoute, responses=COMMON)
# Each kind has its own scopes to cancel and resume it, so the route can only require one of them.
kind_router = APIRouter(prefix="/operations", tags=["operations"], route_class=KindScopedRoute, responses=COMMON)

CANCEL_SCOPES = sorted(
    {kind.cancel_scope for kind in KINDS.values()} | {kind.manage_scope for kind in KINDS.values()}
)

ACCESS_PROBLEMS = (
    BadOnBehalfOfError,
    OperationNotFoundError,
    OperationUnreadableError,
    OperationFinishedError,
    OperationKindUnknownError,
)
CANCEL_PROBLEMS = (*BODY_PROBLEMS, *ACCESS_PROBLEMS, OperationCommittedError)
CANCELLING: Responses = {202: {"description": "The operation stops.", "headers": {**LOCATION, **RETRY_AFTER}}}
RESUMED: Responses = {202: {"description": "The operation continues.", "headers": {**LOCATION, **RETRY_AFTER}}}
CHANGED: Responses = {200: {"description": "The changes are accepted.", "headers": RETRY_AFTER}}
EVENTS: Responses = {
    200: {
        "description": "Events of type `status`; the data of each is a status document.",
        "content": {"text/event-stream": {"itemSchema": STATUS_EVENT_SCHEMA}},
    },
    204: {"description": "The operation has ended, and `Last-Event-ID` is its last event."},
    **problems(
        OperationNotFoundError, OperationUnreadableError, RateLimitedError, TooManyRequestsError, TooManyStreamsError
    ),
}
# Proxies like nginx would buffer the events.
UNBUFFERED = {"X-Accel-Buffering": "no"}


@router.get("", summary="List operations", response_model=OperationList, responses=problems(InvalidRequestError))
async def list_operations(
    caller: Annotated[Caller, Security(current_caller, scopes=[Scope.TENANTS_READ])],
    listing: Annotated[Listing, service(Listing)],
    wanted: Filter,
    page_size: PageSize = DEFAULT_PAGE_SIZE,
    page_token: PageToken = None,
) -> Response:
    """List operations, newest first, as recorded in the database."""
    return document_response(await listing.page(caller, wanted, size=page_size, token=page_token))


@router.get("/{id}/events", summary="Follow an operation", response_class=StreamingResponse, responses=EVENTS)
async def follow_operation(
    caller: Annotated[Caller, Security(current_caller, scopes=[Scope.TENANTS_READ])],
    request: Request,
    lookup: Annotated[OperationLookup, service(OperationLookup)],
    workflow_id: WorkflowId,
    last_event_id: LastEventId = None,
) -> Response:
    """Send the status document as a server-sent event, now and whenever it changes, until the operation has ended.

    A client that reconnects sends `Last-Event-ID` and misses nothing. 204 means that it has seen the last event.
    """
    slot_of(request).become_stream()
    operation = await lookup.find_for(caller, workflow_id)
    if operation.encoded.tag == last_event_id and operation.document.has_ended:
        return Response(status_code=204)
    authenticate = partial(authenticate_again, request, Scope.TENANTS_READ)
    events = follow(lookup, operation, last_event_id, caller, authenticate)
    return EventSourceResponse(events, headers=UNBUFFERED)


@kind_router.delete(
    "/{id}",
    summary="Cancel an operation",
    status_code=202,
    response_model=StatusDocument,
    responses={**CANCELLING, **problems(*CANCEL_PROBLEMS)},
)
async def cancel_operation(
    requester: Annotated[Requester, Security(current_requester, scopes=CANCEL_SCOPES)],
    cancellation: Annotated[OperationCancellation, service(OperationCancellation)],
    workflow_id: WorkflowId,
    reason: CancelReason,
) -> Response:
    """Cancel an operation before its commit. Requires the scope of its kind. The request is safe to repeat."""
    operation = await cancellation.cancel(workflow_id, requester, reason)
    return accepted(operation.document)


@kind_router.post(
    "/{id}/resume",
    summary="Resume an operation",
    status_code=202,
    response_model=StatusDocument,
    responses={**RESUMED, **problems(*ACCESS_PROBLEMS, OperationStoppingError)},
)
async def resume_operation(
    requester: Annotated[Requester, Security(current_requester, scopes=CANCEL_SCOPES)],
    updates: Annotated[OperationUpdates, service(OperationUpdates)],
    workflow_id: WorkflowId,
) -> Response:
    """Start the next attempt at once if the operation waits for it or for an operator; otherwise do nothing."""
    operation = await updates.resume(workflow_id, requester)
    return accepted(operation.document)


@kind_router.patch(
    "/{id}",
    summary="Change an operation's parameters",
    response_model=StatusDocument,
    responses={
        **CHANGED,
        **problems(
            *BODY_PROBLEMS,
            *ACCESS_PROBLEMS,
            UnknownBillingPlanError,
            OperationStoppingError,
            ParameterUsedError,
            OverloadedError,
            TemporalOutageError,
            DatabaseOutageError,
            WorkerOutageError,
        ),
    },
)
async def change_operation(
    requester: Annotated[Requester, Security(current_requester, scopes=CANCEL_SCOPES)],
    changes: ChangedTenant,
    updates: Annotated[OperationUpdates, service(OperationUpdates)],
    workflow_id: WorkflowId,
) -> Response:
    """Change parameters before the commit, all or none, and resume the operation if it waits."""
    operation = await updates.change(workflow_id, changes, requester)
    return document_response(operation.document, headers=retry_after(operation.document))
