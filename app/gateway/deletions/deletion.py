"""Requests, confirms, undoes and shows deletions of tenants."""

from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.trail import AuditTrail
from activities.certificates import signing
from activities.certificates.rows import find_certificate
from activities.certificates.signing import CertificateSigner, SignedCertificate
from activities.deletions.activities import confirmation_event
from activities.deletions.rows import Confirmation, DeletionRecord, confirm, newest_deletion
from activities.operations.queries import find_newest_of_tenant
from app.auth.callers import Caller, Requester
from app.auth.scopes import Scope
from app.database import database_errors
from app.gateway.access.parameters import require_scope
from app.gateway.deletions.problems import (
    CertificateInvalidError,
    CertificateNotFoundError,
    DeletionEndedError,
    DeletionNotBegunError,
    DeletionNotFoundError,
    SecondPersonRequiredError,
)
from app.gateway.deletions.schemas import DeletionBody, DeletionDocument, DeletionLinks
from app.gateway.directory.lookup import TenantLookup, visible_tenant_id
from app.gateway.directory.protection import refuse_management_tenant
from app.gateway.operations.cancellation import OperationCancellation
from app.gateway.operations.documents import OperationView
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.problems import (
    ExportUnavailableError,
    OperationNotFoundError,
    OperationStoppingError,
)
from app.gateway.operations.starting import OperationStarts
from app.settings import Settings
from app.temporal.errors import OperationEndedError
from app.temporal.operations import TemporalOperations
from workflows.operations.messages import OperationContext, OperationSnapshot
from workflows.tenants.deletion import DeletionRequest
from workflows.tenants.steps import DELETION, DELETION_WORKFLOW

log = structlog.get_logger(__name__)


@dataclass(frozen=True, repr=False)
class Deletions:
    """Deletions of tenants. The row in `deletions` decides; the workflow is only woken."""

    settings: Settings
    engine: AsyncEngine
    operations: TemporalOperations
    lookup: OperationLookup
    tenants: TenantLookup
    starts: OperationStarts
    cancellation: OperationCancellation
    audit: AuditTrail
    signer: CertificateSigner

    async def request(self, path_id: str, body: DeletionBody, requester: Requester) -> OperationView:
        """Start a deletion, or return the tenant's open one if it was requested with the same parameters.

        Raises:
            ProblemError: there is no such tenant for the caller, it must not be deleted, the caller may not confirm,
                or another operation on the tenant has not ended.
            TemporalUnavailableError, DatabaseUnavailableError: as `OperationStarts.start`.
        """
        tenant = await self.tenants.find_live(requester.caller, path_id)
        refuse_management_tenant(self.settings, tenant.tenant_id)
        if body.confirm:
            require_scope(requester.caller, Scope.TENANTS_CONFIRM_DELETION, "confirm")
            if self.settings.deletion_two_person:
                raise SecondPersonRequiredError
        if body.export and self.settings.export_url is None:
            raise ExportUnavailableError.of_field("export", "is not possible without EXPORT_URL; send false")
        wanted = DeletionRequest(
            tenant_id=tenant.tenant_id,
            tenant_name=tenant.name,
            reason=body.reason,
            grace_period_days=body.grace_period_days,
            export=body.export,
            confirmed=body.confirm,
            origin=requester.origin(),
        )
        parameters = wanted.parameters_shown["parameters"]

        def is_same(snapshot: OperationSnapshot) -> bool:
            return bool(snapshot.parameters == parameters)

        return await self.starts.start(DELETION, DELETION_WORKFLOW, wanted, is_same=is_same)

    async def confirm(self, path_id: str, requester: Requester) -> OperationView:
        """Confirm the tenant's open deletion; a second confirmation changes nothing.

        Raises:
            ProblemError: there is no open deletion, it is being undone, or the caller has requested it and must not
                confirm it.
            TemporalUnavailableError: it is confirmed, but its workflow was not woken; repeat the request.
            DatabaseUnavailableError: nothing was confirmed.
        """
        tenant_id = visible_tenant_id(requester.caller, path_id)
        with database_errors():
            async with self.engine.begin() as connection:
                deletion = await newest_deletion(connection, tenant_id)
                if deletion is None or not deletion.is_open:
                    raise await self._no_open_deletion(tenant_id, deletion)
                if self.settings.deletion_two_person:
                    _refuse_same_person(deletion, requester)
                context = _context(deletion)
                confirmation = Confirmation(by=requester.name, via=requester.caller.identity)
                confirmed = await confirm(connection, context, confirmation)
                if confirmed is not None:
                    event = confirmation_event(context, confirmation, requester.origin())
                    await self.audit.append(connection, event)
        if confirmed is None and deletion.confirmed_at is None:
            raise OperationStoppingError("The deletion is being undone")
        operation = await self.lookup.find(deletion.workflow_id)
        try:
            await self.operations.wake(operation.in_temporal, "confirm")
        except OperationEndedError:
            raise DeletionEndedError from None
        return operation

    async def undo(self, path_id: str, reason: str | None, requester: Requester) -> OperationView:
        """Undo the tenant's deletion before its purge has committed; raises as `OperationCancellation.cancel`."""
        tenant_id = visible_tenant_id(requester.caller, path_id)
        workflow_id = await self._workflow_id(tenant_id)
        return await self.cancellation.cancel(workflow_id, requester, reason)

    async def show(self, caller: Caller, path_id: str) -> DeletionDocument:
        """Return the tenant's newest deletion; raises `ProblemError` if there is none."""
        tenant_id = visible_tenant_id(caller, path_id)
        with database_errors():
            async with self.engine.connect() as connection:
                deletion = await newest_deletion(connection, tenant_id)
        if deletion is None:
            raise await self._no_open_deletion(tenant_id, None)
        try:
            operation = await self.lookup.find(deletion.workflow_id)
        except OperationNotFoundError:
            operation = None
        return _document(deletion, operation)

    async def certificate(self, caller: Caller, path_id: str) -> SignedCertificate:
        """Return the certificate of the tenant's newest completed deletion; raises `ProblemError`."""
        tenant_id = visible_tenant_id(caller, path_id)
        with database_errors():
            async with self.engine.connect() as connection:
                try:
                    found = await find_certificate(connection, self.signer, tenant_id)
                except signing.CertificateInvalidError as error:
                    log.warning("a certificate is not genuine", tenant_id=str(tenant_id), reason=str(error))
                    raise CertificateInvalidError(str(error)) from None
        if found is None:
            raise CertificateNotFoundError
        return found[0]

    async def _workflow_id(self, tenant_id: UUID) -> str:
        with database_errors():
            async with self.engine.connect() as connection:
                record = await find_newest_of_tenant(connection, tenant_id, DELETION.name)
        if record is None:
            raise DeletionNotFoundError
        return record.workflow_id

    async def _no_open_deletion(self, tenant_id: UUID, deletion: DeletionRecord | None) -> Exception:
        """Return why there is nothing to confirm or show."""
        with database_errors():
            async with self.engine.connect() as connection:
                record = await find_newest_of_tenant(connection, tenant_id, DELETION.name)
        if record is not None and not record.snapshot.has_ended:
            return DeletionNotBegunError()
        return DeletionNotFoundError() if deletion is None else DeletionEndedError()


def _refuse_same_person(deletion: DeletionRecord, requester: Requester) -> None:
    is_same_credential = deletion.requested_via == requester.caller.identity
    if is_same_credential or deletion.requested_by == requester.name:
        raise SecondPersonRequiredError(is_denial=True)


def _context(deletion: DeletionRecord) -> OperationContext:
    snapshot = OperationSnapshot(kind=DELETION.name, tenant_id=deletion.tenant_id)
    return OperationContext(workflow_id=deletion.workflow_id, run_id=deletion.run_id, snapshot=snapshot)


def _document(deletion: DeletionRecord, operation: OperationView | None) -> DeletionDocument:
    path = f"/tenants/{deletion.tenant_id}/deletion"
    links = DeletionLinks(
        tenant=f"/tenants/{deletion.tenant_id}",
        operation=f"/operations/{deletion.workflow_id}",
        confirm=f"{path}/confirm" if deletion.is_open and deletion.confirmed_at is None else None,
        undo=f"{path}/undo" if deletion.is_open else None,
        certificate=f"{path}/certificate" if deletion.deleted_at is not None else None,
    )
    document = operation.document if operation is not None else None
    return DeletionDocument(**vars(deletion), operation=document, links=links)
