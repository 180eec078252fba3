"""Routes that create, suspend and reactivate tenants, cancel a creation, and send welcome mails again."""

from typing import Annotated

from fastapi import APIRouter, Security
from starlette.responses import Response

from app.auth.callers import Requester
from app.auth.scopes import Scope
from app.gateway.access.authenticated_route import AuthenticatedRoute
from app.gateway.access.parameters import current_requester
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.directory.changes import CHANGING, ShorterWait
from app.gateway.directory.parameters import TenantPathId
from app.gateway.directory.schemas import TenantDetails
from app.gateway.http.dependencies import service
from app.gateway.http.openapi import BODY_PROBLEMS, COMMON_PROBLEMS, LOCATION, RETRY_AFTER, Responses, problems
from app.gateway.http.problems.request_problems import (
    BadIdempotencyKeyError,
    BadOnBehalfOfError,
    DatabaseOutageError,
    TemporalOutageError,
)
from app.gateway.operations.cancellation import OperationCancellation
from app.gateway.operations.parameters import CancelReason, PreferWait, WorkflowId, tenant_id_of
from app.gateway.operations.problems import (
    BillingIncompleteError,
    ManagementTenantError,
    ManagementTenantUnknownError,
    OperationStoppingError,
    OperationUnreadableError,
    SuspendedByAlgaError,
    TenantExistsError,
    UnknownBillingPlanError,
)
from app.gateway.operations.responses import accepted
from app.gateway.operations.routes import CANCEL_PROBLEMS, CANCELLING, START_PROBLEMS
from app.gateway.operations.schemas import StatusDocument
from app.gateway.tenants.access import WelcomeEmails
from app.gateway.tenants.creation import TenantCreation
from app.gateway.tenants.parameters import (
    Creator,
    IdempotencyKey,
    NewSuspension,
    NewTenant,
    WelcomeEmailRecipient,
)
from app.gateway.tenants.problems import DeletionRequiredError, IdempotencyKeyReusedError, StartUncertainError
from app.gateway.tenants.responses import created, sent
from app.gateway.tenants.schemas import CreatedDocument, WelcomeEmailBody
from app.gateway.tenants.suspension import Suspensions

router = APIRouter(
    prefix="/tenants",
    tags=["tenants"],
    route_class=AuthenticatedRoute,
    responses=problems(*COMMON_PROBLEMS, TemporalOutageError, DatabaseOutageError),
)

SENDING: Responses = {
    200: {"model": StatusDocument, "description": "The mail was sent (only with `Prefer: wait`)."},
    202: {"description": "The operation has started.", "headers": {**LOCATION, **RETRY_AFTER}},
}
SUSPENSION_PROBLEMS = (
    *START_PROBLEMS,
    ManagementTenantError,
    ManagementTenantUnknownError,
    OperationStoppingError,
)
Suspender = Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_SUSPEND])]
MailSender = Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_MANAGE])]
Suspending = Annotated[Suspensions, service(Suspensions)]
CREATED: Responses = {
    201: {
        "model": CreatedDocument,
        "description": "The tenant is complete (only with `Prefer: wait`).",
        "headers": LOCATION,
    },
    202: {"description": "The creation has started.", "headers": {**LOCATION, **RETRY_AFTER}},
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
            BillingIncompleteError,
            UnknownBillingPlanError,
            IdempotencyKeyReusedError,
            TenantExistsError,
            OperationUnreadableError,
            StartUncertainError,
        ),
    },
)
async def create_tenant(
    requester: Creator,
    request: NewTenant,
    creations: Annotated[TenantCreation, service(TenantCreation)],
    key: IdempotencyKey,
    wait: PreferWait,
) -> Response:
    """Start the creation of a tenant and return its operation.

    With an Idempotency-Key, the same request may be sent again and returns the operation that it started. If no
    password is given, one is generated and returned once, as `temporaryPassword`.
    """
    creation = await creations.create(request, requester, key)
    if wait:
        creation = await creations.wait(creation, wait)
    return created(creation, wait)


@router.post(
    "/{id}/welcome-email",
    summary="Send the welcome mail again",
    status_code=202,
    response_model=StatusDocument,
    responses={**SENDING, **problems(*START_PROBLEMS)},
)
async def send_welcome_email(
    requester: MailSender,
    welcome_emails: Annotated[WelcomeEmails, service(WelcomeEmails)],
    path_id: TenantPathId,
    wait: PreferWait,
    body: WelcomeEmailRecipient = None,
) -> Response:
    """Send the welcome mail to an administrator, with a new link for a password; changes no password.

    A tenant may have three of these mails in 15 minutes. A request while one is being sent returns its operation.
    """
    operation = await welcome_emails.send(path_id, body or WelcomeEmailBody(), requester)
    return sent(await welcome_emails.wait(operation, wait) if wait else operation, wait)


@router.put(
    "/{id}/suspension",
    summary="Suspend a tenant",
    response_model=TenantDetails,
    responses={**CHANGING, **problems(*SUSPENSION_PROBLEMS)},
)
async def suspend_tenant(
    requester: Suspender, suspensions: Suspending, path_id: TenantPathId, body: NewSuspension, wait: ShorterWait
) -> Response:
    """Let none of the tenant's users sign in, and stop its jobs and its inbound mail. It can be undone exactly.

    A tenant that is suspended stays as it is, with the reason of the first request.
    """
    return (await suspensions.suspend(path_id, body.reason, requester, wait)).response(wait)


@router.delete(
    "/{id}/suspension",
    summary="Reactivate a tenant",
    response_model=TenantDetails,
    responses={**CHANGING, **problems(*SUSPENSION_PROBLEMS, SuspendedByAlgaError)},
)
async def reactivate_tenant(
    requester: Suspender, suspensions: Suspending, path_id: TenantPathId, wait: ShorterWait
) -> Response:
    """Put back every row that the suspension has changed, unless it was changed since. An active tenant stays so."""
    return (await suspensions.reactivate(path_id, requester, wait)).response(wait)


@router.delete(
    "/{id}",
    summary="Cancel a creation",
    status_code=202,
    response_model=StatusDocument,
    responses={**CANCELLING, **problems(*CANCEL_PROBLEMS, DeletionRequiredError)},
)
async def cancel_creation(
    requester: Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_CANCEL])],
    cancellation: Annotated[OperationCancellation, service(OperationCancellation)],
    workflow_id: WorkflowId,
    reason: CancelReason,
) -> Response:
    """Cancel the creation of a tenant before its commit, by its workflow id; nothing has been written by then."""
    if (tenant_id := tenant_id_of(workflow_id)) is not None:
        raise DeletionRequiredError(tenant_id)
    operation = await cancellation.cancel(workflow_id, requester, reason)
    return accepted(operation.document)
