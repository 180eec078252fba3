"""The routes of tenants and the operations that create them."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Security
from fastapi.sse import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.auth.callers import Caller, Requester
from app.auth.scopes import Scope
from app.gateway.authenticated_route import AuthenticatedRoute, authenticate_again
from app.gateway.dependencies import (
    CancelReason,
    ChangedTenant,
    IdempotencyKey,
    IfNoneMatch,
    LastEventId,
    NewTenant,
    PreferWait,
    ServicesDep,
    WorkflowId,
    current_caller,
    current_requester,
)
from app.gateway.documents import creation_document, status_document
from app.gateway.openapi import BODY_PROBLEMS, COMMON_PROBLEMS, LOCATION, RETRY_AFTER, Responses, problems
from app.gateway.operation_events import STATUS_EVENT_SCHEMA, OperationEvents
from app.gateway.responses import accepted, changed, conditional, created
from app.gateway.schemas import CreatedDocument, StatusDocument

router = APIRouter(
    prefix="/tenants",
    tags=["tenants"],
    route_class=AuthenticatedRoute,
    responses=problems(*COMMON_PROBLEMS, "temporal-unavailable", "database-unavailable"),
)

ETAG = {"ETag": {"description": "For `If-None-Match`.", "schema": {"type": "string"}}}
CREATED: Responses = {
    201: {
        "model": CreatedDocument,
        "description": "The tenant is complete (only with `Prefer: wait`).",
        "headers": LOCATION,
    },
    202: {"description": "The creation is under way.", "headers": {**LOCATION, **RETRY_AFTER}},
}
CANCELLING: Responses = {
    202: {"description": "The operation stops and cleans up.", "headers": {**LOCATION, **RETRY_AFTER}},
}
RESUMED: Responses = {
    202: {"description": "The operation goes on.", "headers": {**LOCATION, **RETRY_AFTER}},
}
CHANGED: Responses = {200: {"description": "The changes will be used.", "headers": RETRY_AFTER}}
STATUS: Responses = {
    200: {"description": "The status document.", "headers": {**ETAG, **RETRY_AFTER}},
    304: {"description": "Nothing has changed.", "headers": {**ETAG, **RETRY_AFTER}},
    **problems("operation-not-found"),
}
EVENTS: Responses = {
    200: {
        "description": "Events of type `status`; the data of each is a status document.",
        "content": {"text/event-stream": {"itemSchema": STATUS_EVENT_SCHEMA}},
    },
    204: {"description": "The operation has ended, and `Last-Event-ID` is its last event."},
    **problems("operation-not-found"),
}
# Proxies like nginx would keep events back until a buffer is full.
UNBUFFERED = {"X-Accel-Buffering": "no"}


@router.post(
    "",
    summary="Create a tenant",
    status_code=202,
    response_model=CreatedDocument,
    responses={
        **CREATED,
        **problems(
            *BODY_PROBLEMS,
            "bad-idempotency-key",
            "bad-on-behalf-of",
            "tenant-not-found",
            "unknown-billing-plan",
            "idempotency-key-reused",
            "tenant-exists",
            "start-uncertain",
        ),
    },
)
async def create_tenant(
    requester: Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_CREATE])],
    request: NewTenant,
    services: ServicesDep,
    key: IdempotencyKey,
    wait: PreferWait,
) -> Response:
    """Start the creation of a tenant, and answer with where to follow it.

    With an Idempotency-Key the same request may be sent again, and finds the operation that it started. Where no
    password is given, one is made and answered as `temporaryPassword`, this once.
    """
    creation = await services.creation.create(request, requester, key)
    if wait:
        creation = await services.creation.wait(creation, wait)
    return created(creation_document(creation.operation, creation.temporary_password), wait)


@router.get(
    "/{workflow_id}/status",
    summary="Read an operation's status",
    response_model=StatusDocument,
    responses=STATUS,
)
async def read_status(
    caller: Annotated[Caller, Security(current_caller, scopes=[Scope.TENANTS_READ])],
    services: ServicesDep,
    workflow_id: WorkflowId,
    if_none_match: IfNoneMatch,
) -> Response:
    """Say where an operation stands."""
    operation = await services.statuses.find_for(caller, workflow_id)
    return conditional(operation.encoded, if_none_match)


@router.get(
    "/{workflow_id}/events",
    summary="Follow an operation",
    response_class=StreamingResponse,
    responses=EVENTS,
)
async def follow_operation(
    caller: Annotated[Caller, Security(current_caller, scopes=[Scope.TENANTS_READ])],
    request: Request,
    services: ServicesDep,
    workflow_id: WorkflowId,
    last_event_id: LastEventId = None,
) -> Response:
    """Send the status document as a server-sent event, now and whenever it changes, until the operation has ended.

    A client that has been cut off sends `Last-Event-ID` and misses nothing; 204 tells it that it has seen the end.
    """
    events = OperationEvents(services.statuses, partial(authenticate_again, request, Scope.TENANTS_READ), workflow_id)
    newest = await events.newest(caller)
    if newest.id == last_event_id and newest.document.status.is_final:
        return Response(status_code=204)
    return EventSourceResponse(events.follow(caller, newest, last_event_id), headers=UNBUFFERED)


@router.delete(
    "/{workflow_id}",
    summary="Cancel an operation",
    status_code=202,
    response_model=StatusDocument,
    responses={
        **CANCELLING,
        **problems(*BODY_PROBLEMS, "bad-on-behalf-of", "operation-not-found", "operation-finished"),
    },
)
async def cancel_operation(
    requester: Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_CANCEL])],
    services: ServicesDep,
    workflow_id: WorkflowId,
    reason: CancelReason,
) -> Response:
    """Stop the creation of a tenant before its next step, and delete what was written; again is harmless."""
    operation = await services.cancellation.cancel(workflow_id, requester, reason)
    return accepted(status_document(operation))


@router.post(
    "/{workflow_id}/resume",
    summary="Resume an operation",
    status_code=202,
    response_model=StatusDocument,
    responses={
        **RESUMED,
        **problems("bad-on-behalf-of", "operation-not-found", "operation-finished", "operation-stopping"),
    },
)
async def resume_operation(
    requester: Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_MANAGE])],
    services: ServicesDep,
    workflow_id: WorkflowId,
) -> Response:
    """Try a step again at once that waits for an operator, or for its next try; at work already is fine, too."""
    operation = await services.continuation.resume(workflow_id, requester)
    return accepted(status_document(operation))


@router.patch(
    "/{workflow_id}",
    summary="Change a tenant's parameters",
    response_model=StatusDocument,
    responses={
        **CHANGED,
        **problems(
            *BODY_PROBLEMS,
            "bad-on-behalf-of",
            "unknown-billing-plan",
            "operation-not-found",
            "operation-finished",
            "operation-stopping",
            "parameter-used",
            "overloaded",
            "temporal-unavailable",
            "database-unavailable",
            "worker-unavailable",
        ),
    },
)
async def change_tenant(
    requester: Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_MANAGE])],
    changes: ChangedTenant,
    services: ServicesDep,
    workflow_id: WorkflowId,
) -> Response:
    """Change what no step has used yet, all of it or nothing; an operation that waits then goes on."""
    operation = await services.continuation.change(workflow_id, changes, requester)
    return changed(status_document(operation))
