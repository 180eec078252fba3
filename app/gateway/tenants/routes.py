"""The routes by which tenants are created, and creations cancelled."""

from typing import Annotated

from fastapi import APIRouter, Depends, Security
from starlette.responses import Response

from app.auth.callers import Requester
from app.auth.scopes import Scope
from app.gateway.access.parameters import current_requester
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.access.route import AuthenticatedRoute
from app.gateway.http.openapi import BODY_PROBLEMS, COMMON_PROBLEMS, LOCATION, RETRY_AFTER, Responses, problems
from app.gateway.http.problems.request_problems import (
    BadIdempotencyKeyError,
    BadOnBehalfOfError,
    DatabaseOutageError,
    TemporalOutageError,
)
from app.gateway.http.provided import provide
from app.gateway.operations.cancellation import Cancellation
from app.gateway.operations.documents import status_document
from app.gateway.operations.parameters import CancelReason, WorkflowId, tenant_id_of
from app.gateway.operations.problems import OperationUnreadableError, TenantExistsError, UnknownBillingPlanError
from app.gateway.operations.responses import accepted
from app.gateway.operations.routes import CANCEL_PROBLEMS, CANCELLING
from app.gateway.operations.schemas import StatusDocument
from app.gateway.tenants.creation import TenantCreation
from app.gateway.tenants.documents import creation_document
from app.gateway.tenants.parameters import IdempotencyKey, NewTenant, PreferWait
from app.gateway.tenants.problems import DeletionRequiredError, IdempotencyKeyReusedError, StartUncertainError
from app.gateway.tenants.responses import created
from app.gateway.tenants.schemas import CreatedDocument

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
    creations: Annotated[TenantCreation, Depends(provide(TenantCreation))],
    key: IdempotencyKey,
    wait: PreferWait,
) -> Response:
    """Start the creation of a tenant and return where to follow it.

    With an Idempotency-Key, the same request may be sent again and returns the operation that it started. If no
    password is given, one is generated and returned once, as `temporaryPassword`.
    """
    creation = await creations.create(request, requester, key)
    if wait:
        creation = await creations.wait(creation, wait)
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
    cancellation: Annotated[Cancellation, Depends(provide(Cancellation))],
    workflow_id: WorkflowId,
    reason: CancelReason,
) -> Response:
    """Stop the creation of a tenant before its commit, by its workflow id; nothing has been written by then."""
    if (tenant_id := tenant_id_of(workflow_id)) is not None:
        raise DeletionRequiredError(tenant_id)
    operation = await cancellation.cancel(workflow_id, requester, reason)
    return accepted(status_document(operation))
