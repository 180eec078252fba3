"""The routes by which tenants are created, and creations cancelled."""

from typing import Annotated

from fastapi import APIRouter, Security
from starlette.responses import Response

from app.auth.callers import Requester
from app.auth.scopes import Scope
from app.gateway.access.route import AuthenticatedRoute
from app.gateway.http.openapi import BODY_PROBLEMS, COMMON_PROBLEMS, LOCATION, RETRY_AFTER, Responses, problems
from app.gateway.http.problems.request_problems import (
    BadIdempotencyKeyError,
    BadOnBehalfOfError,
    DatabaseOutageError,
    TemporalOutageError,
)
from app.gateway.operations.documents import creation_document, status_document
from app.gateway.operations.parameters import (
    CancelReason,
    IdempotencyKey,
    NewTenant,
    PreferWait,
    ServicesDep,
    WorkflowId,
    current_requester,
    tenant_id_of,
)
from app.gateway.operations.problems import (
    DeletionRequiredError,
    IdempotencyKeyReusedError,
    OperationUnreadableError,
    StartUncertainError,
    TenantExistsError,
    TenantNotFoundError,
    UnknownBillingPlanError,
)
from app.gateway.operations.responses import accepted, created
from app.gateway.operations.routes import CANCEL_PROBLEMS, CANCELLING
from app.gateway.operations.schemas import CreatedDocument, StatusDocument

router = APIRouter(
    prefix="/tenants",
    tags=["tenants"],
    route_class=AuthenticatedRoute,
    responses=problems(*COMMON_PROBLEMS, TemporalOutageError, DatabaseOutageError),
)

CREATED: Responses = {
    201: {
        "model": CreatedDocument,
        "description": "The tenant is complete (only with `Prefer: wait`).",
        "headers": LOCATION,
    },
    202: {"description": "The creation is under way.", "headers": {**LOCATION, **RETRY_AFTER}},
}


@router.post(
    "",
    summary="Create a tenant",
    status_code=202,
    response_model=CreatedDocument,
    responses={
        **CREATED,
        **problems(
            *BODY_PROBLEMS,
            BadIdempotencyKeyError,
            BadOnBehalfOfError,
            TenantNotFoundError,
            UnknownBillingPlanError,
            IdempotencyKeyReusedError,
            TenantExistsError,
            OperationUnreadableError,
            StartUncertainError,
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
    """Start the creation of a tenant and return where to follow it.

    With an Idempotency-Key, the same request may be sent again and returns the operation that it started. If no
    password is given, one is generated and returned once, as `temporaryPassword`.
    """
    creation = await services.creation.create(request, requester, key)
    if wait:
        creation = await services.creation.wait(creation, wait)
    return created(creation_document(creation.operation, creation.temporary_password), wait)


@router.delete(
    "/{id}",
    summary="Cancel a creation",
    status_code=202,
    response_model=StatusDocument,
    responses={**CANCELLING, **problems(*CANCEL_PROBLEMS, DeletionRequiredError)},
)
async def cancel_creation(
    requester: Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_CANCEL])],
    services: ServicesDep,
    workflow_id: WorkflowId,
    reason: CancelReason,
) -> Response:
    """Stop the creation of a tenant before its commit, by its workflow id; nothing has been written by then."""
    if (tenant_id := tenant_id_of(workflow_id)) is not None:
        raise DeletionRequiredError(tenant_id)
    operation = await services.cancellation.cancel(workflow_id, requester, reason)
    return accepted(status_document(operation))
