"""Routes of deletions of tenants."""

from typing import Annotated

from fastapi import APIRouter, Body, Security
from starlette.responses import Response

from app.auth.callers import Requester
from app.auth.scopes import Scope
from app.gateway.access.authenticated_route import AuthenticatedRoute
from app.gateway.access.parameters import current_requester
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.deletions.deletion import Deletions
from app.gateway.deletions.problems import (
    CertificateInvalidError,
    CertificateNotFoundError,
    DeletionEndedError,
    DeletionNotBegunError,
    DeletionNotFoundError,
    SecondPersonRequiredError,
)
from app.gateway.deletions.schemas import CertificateDocument, ConfirmBody, DeletionBody, DeletionDocument, UndoBody
from app.gateway.directory.parameters import TenantPathId
from app.gateway.http.dependencies import service
from app.gateway.http.openapi import BODY_PROBLEMS, COMMON_PROBLEMS, LOCATION, RETRY_AFTER, Responses, problems
from app.gateway.http.problems.request_problems import BadOnBehalfOfError, DatabaseOutageError, TemporalOutageError
from app.gateway.http.responses import document_response
from app.gateway.operations.parameters import Reader
from app.gateway.operations.problems import (
    ExportUnavailableError,
    ManagementTenantError,
    ManagementTenantUnknownError,
    OperationInProgressError,
    OperationStoppingError,
    OperationUnreadableError,
    TenantBusyError,
)
from app.gateway.operations.responses import accepted
from app.gateway.operations.routes import CANCEL_PROBLEMS, CANCELLING
from app.gateway.operations.schemas import StatusDocument

router = APIRouter(
    prefix="/tenants/{id}/deletion",
    tags=["deletions"],
    route_class=AuthenticatedRoute,
    responses=problems(*COMMON_PROBLEMS, TenantNotFoundError, TemporalOutageError, DatabaseOutageError),
)

ACCEPTED: Responses = {202: {"description": "The operation.", "headers": {**LOCATION, **RETRY_AFTER}}}

Service = Annotated[Deletions, service(Deletions)]
Deleter = Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_DELETE])]
Confirmer = Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_CONFIRM_DELETION])]


@router.post(
    "",
    summary="Request the deletion of a tenant",
    status_code=202,
    response_model=StatusDocument,
    responses={
        **ACCEPTED,
        **problems(
            *BODY_PROBLEMS,
            BadOnBehalfOfError,
            ManagementTenantError,
            ManagementTenantUnknownError,
            SecondPersonRequiredError,
            ExportUnavailableError,
            DeletionNotBegunError,
            DeletionEndedError,
            OperationStoppingError,
            OperationInProgressError,
            OperationUnreadableError,
            TenantBusyError,
        ),
    },
)
async def request_deletion(
    requester: Deleter, deletions: Service, path_id: TenantPathId, body: Annotated[DeletionBody, Body()]
) -> Response:
    """Suspend the tenant, wait for a confirmation, then for the grace period, and delete all its rows.

    It can be undone until the rows are deleted. The same request returns the operation that it started, and confirms
    it if only the repeated one has `confirm`.
    """
    operation = await deletions.request(path_id, body, requester)
    return accepted(operation.document)


@router.get(
    "",
    summary="Read a deletion",
    response_model=DeletionDocument,
    responses=problems(DeletionNotFoundError, OperationUnreadableError),
)
async def read_deletion(caller: Reader, deletions: Service, path_id: TenantPathId) -> Response:
    """Return the newest deletion of a tenant, whether it is open, was undone, or has completed."""
    return document_response(await deletions.show(caller, path_id))


@router.post(
    "/confirm",
    summary="Confirm a deletion",
    status_code=202,
    response_model=StatusDocument,
    responses={
        **ACCEPTED,
        **problems(
            *BODY_PROBLEMS,
            BadOnBehalfOfError,
            DeletionNotFoundError,
            DeletionNotBegunError,
            DeletionEndedError,
            OperationStoppingError,
            SecondPersonRequiredError,
            OperationUnreadableError,
        ),
    },
)
async def confirm_deletion(
    requester: Confirmer,
    deletions: Service,
    path_id: TenantPathId,
    body: Annotated[ConfirmBody | None, Body()] = None,  # noqa: ARG001 - it has no fields yet
) -> Response:
    """Confirm the open deletion of a tenant, which starts its grace period. The request is safe to repeat."""
    operation = await deletions.confirm(path_id, requester)
    return accepted(operation.document)


@router.post(
    "/undo",
    summary="Undo a deletion",
    status_code=202,
    response_model=StatusDocument,
    responses={**CANCELLING, **problems(*CANCEL_PROBLEMS, DeletionNotFoundError, DeletionEndedError)},
)
async def undo_deletion(
    requester: Deleter,
    deletions: Service,
    path_id: TenantPathId,
    body: Annotated[UndoBody | None, Body()] = None,
) -> Response:
    """Put back every row that the deletion has changed, until the purge has committed. Safe to repeat."""
    operation = await deletions.undo(path_id, body.reason if body is not None else None, requester)
    return accepted(operation.document)


@router.get(
    "/certificate",
    summary="Read the certificate of a deletion",
    response_model=CertificateDocument,
    responses=problems(CertificateNotFoundError, CertificateInvalidError),
)
async def read_certificate(caller: Reader, deletions: Service, path_id: TenantPathId) -> Response:
    """Return the proof of the newest completed deletion of a tenant; its MAC was checked."""
    signed, _ = await deletions.certificate(caller, path_id)
    return Response(signed.json, media_type="application/json")
