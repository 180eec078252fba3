"""Routes of operations of every kind."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter
from fastapi.sse import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.auth.scopes import Scope
from app.gateway.access.authenticated_route import AuthenticatedRoute, Handler, KindScopedRoute, authenticate_again
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.http.concurrency import slot_of
from app.gateway.http.dependencies import find_service, service
from app.gateway.http.openapi import (
    BODY_PROBLEMS,
    COMMON_PROBLEMS,
    CONDITIONAL,
    ETAG,
    LOCATION,
    REF_TEMPLATE,
    RETRY_AFTER,
    Responses,
    problems,
)
from app.gateway.http.parameters import DEFAULT_PAGE_SIZE, IfNoneMatch, PageSize, if_none_match_lines
from app.gateway.http.problems.request_problems import (
    BadOnBehalfOfError,
    DatabaseOutageError,
    IdentityProviderOutageError,
    OverloadedError,
    RateLimitedError,
    TemporalOutageError,
    TooManyRequestsError,
    TooManyStreamsError,
    WorkerOutageError,
)
from app.gateway.http.request_context import caller_of
from app.gateway.http.responses import conditional_response, document_response
from app.gateway.operations.cancellation import OperationCancellation
from app.gateway.operations.events import UNBUFFERED, follow
from app.gateway.operations.listing import Listing
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.parameters import (
    CancelReason,
    ChangedTenant,
    Filter,
    KindRequester,
    LastEventId,
    PageToken,
    Reader,
    WorkflowId,
    check_workflow_id,
    tenant_id_of,
)
from app.gateway.operations.problems import (
    OperationCommittedError,
    OperationFinishedError,
    OperationInProgressError,
    OperationKindUnknownError,
    OperationNotFoundError,
    OperationStoppingError,
    OperationUnreadableError,
    ParameterUsedError,
    TenantBusyError,
    UnknownBillingPlanError,
)
from app.gateway.operations.responses import accepted, conditional, retry_after
from app.gateway.operations.schemas import OperationCounts, OperationList, StatusDocument
from app.gateway.operations.updates import OperationUpdates

ACCESS_PROBLEMS = (
    BadOnBehalfOfError,
    OperationNotFoundError,
    OperationUnreadableError,
    OperationFinishedError,
    OperationKindUnknownError,
)
CANCEL_PROBLEMS = (*BODY_PROBLEMS, *ACCESS_PROBLEMS, OperationCommittedError)
# Of every route that starts an operation on an existing tenant.
START_PROBLEMS = (
    *BODY_PROBLEMS,
    BadOnBehalfOfError,
    TenantNotFoundError,
    OperationInProgressError,
    OperationUnreadableError,
    TenantBusyError,
    OverloadedError,
    IdentityProviderOutageError,
    TemporalOutageError,
    DatabaseOutageError,
)
CANCELLING: Responses = {202: {"description": "The operation stops.", "headers": {**LOCATION, **RETRY_AFTER}}}
RESUMED: Responses = {202: {"description": "The operation continues.", "headers": {**LOCATION, **RETRY_AFTER}}}
CHANGED: Responses = {200: {"description": "The changes are accepted.", "headers": RETRY_AFTER}}
EVENTS: Responses = {
    200: {
        "description": "Events of type `status`. The schema is that of the `data` of each, which is JSON.",
        "content": {"text/event-stream": {"schema": {"$ref": REF_TEMPLATE.format(model=StatusDocument.__name__)}}},
    },
    204: {"description": "The operation has ended, and `Last-Event-ID` is its last event."},
    **problems(
        OperationNotFoundError, OperationUnreadableError, RateLimitedError, TooManyRequestsError, TooManyStreamsError
    ),
}
STATUS: Responses = {
    200: {"description": "The status document.", "headers": {**ETAG, **RETRY_AFTER}},
    304: {"description": "Nothing has changed.", "headers": {**ETAG, **RETRY_AFTER}},
    **problems(OperationNotFoundError, OperationUnreadableError),
}

Lookup = Annotated[OperationLookup, service(OperationLookup)]


class StatusRoute(AuthenticatedRoute):
    """A route that calls its endpoint without FastAPI's slow dependency injection (ADR 6).

    FastAPI still describes the endpoint's parameters, which are the same for all endpoints, in OpenAPI.
    """

    def handler(self) -> Handler:
        """Return a handler that calls the endpoint with the values that its dependencies would return."""

        async def handle(request: Request) -> Response:
            response: Response = await self.endpoint(
                caller=caller_of(request),
                lookup=find_service(request, OperationLookup),
                workflow_id=check_workflow_id(request.path_params["id"]),
                if_none_match=if_none_match_lines(request),
            )
            return response

        return handle


COMMON = problems(*COMMON_PROBLEMS, TemporalOutageError, DatabaseOutageError)
router = APIRouter(prefix="/operations", tags=["operations"], route_class=AuthenticatedRoute, responses=COMMON)
# These routes require a scope of any kind; the service then requires that of the operation's kind.
kind_router = APIRouter(prefix="/operations", tags=["operations"], route_class=KindScopedRoute, responses=COMMON)
status_router = APIRouter(route_class=StatusRoute, responses=COMMON | STATUS)


@router.get(
    "",
    summary="List operations",
    response_model=OperationList,
    responses=CONDITIONAL,
)
async def list_operations(  # noqa: PLR0917 - FastAPI passes them by name
    caller: Reader,
    listing: Annotated[Listing, service(Listing)],
    wanted: Filter,
    if_none_match: IfNoneMatch,
    page_size: PageSize = DEFAULT_PAGE_SIZE,
    page_token: PageToken = None,
) -> Response:
    """List operations, newest first, as recorded in the database."""
    return conditional_response(await listing.page(caller, wanted, size=page_size, token=page_token), if_none_match)


@router.get(
    "/counts",
    summary="Count operations",
    response_model=OperationCounts,
    responses=CONDITIONAL,
)
async def count_operations(
    caller: Reader, listing: Annotated[Listing, service(Listing)], wanted: Filter, if_none_match: IfNoneMatch
) -> Response:
    """Count the operations that the same filters list, by status, as recorded in the database."""
    return conditional_response(await listing.counts(caller, wanted), if_none_match)


@router.get("/{id}/events", summary="Follow an operation", response_class=StreamingResponse, responses=EVENTS)
async def follow_operation(
    caller: Reader,
    request: Request,
    lookup: Lookup,
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
    requester: KindRequester,
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
    requester: KindRequester,
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
    requester: KindRequester,
    changes: ChangedTenant,
    updates: Annotated[OperationUpdates, service(OperationUpdates)],
    workflow_id: WorkflowId,
) -> Response:
    """Change parameters before the commit, all or none, and resume the operation if it waits."""
    operation = await updates.change(workflow_id, changes, requester)
    return document_response(operation.document, headers=retry_after(operation.document))


@status_router.get(
    "/tenants/{id}/status", tags=["tenants"], summary="Read the status of a creation", response_model=StatusDocument
)
async def read_status(
    caller: Reader,
    lookup: Lookup,
    workflow_id: WorkflowId,
    if_none_match: IfNoneMatch,
) -> Response:
    """Return the status of an operation, by its workflow id, or by the id of the tenant that it creates."""
    if (tenant_id := tenant_id_of(workflow_id)) is None:
        return await read_operation(caller, lookup, workflow_id, if_none_match)
    operation = await lookup.find_creation_for(caller, tenant_id)
    return conditional(operation.encoded, if_none_match)


@status_router.get(
    "/operations/{id}", tags=["operations"], summary="Read an operation", response_model=StatusDocument
)
async def read_operation(
    caller: Reader,
    lookup: Lookup,
    workflow_id: WorkflowId,
    if_none_match: IfNoneMatch,
) -> Response:
    """Return the status of an operation."""
    operation = await lookup.find_for(caller, workflow_id)
    return conditional(operation.encoded, if_none_match)
