"""Requests, confirms, undoes and shows deletions of tenants."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.audit.trail import AuditTrail
from activities.certificates import signing
from activities.certificates.certificate import Certificate
from activities.certificates.rows import find_certificate
from activities.certificates.signing import CertificateSigner, SignedCertificate
from activities.deletions.activities import confirmation_event
from activities.deletions.rows import Confirmation, DeletionRecord, confirm, find_deletion, newest_deletion
from app.audit.certificates import check_place
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
from app.temporal.errors import OperationEndedError, TemporalUnavailableError
from app.temporal.operations import TemporalOperations
from workflows.operations.messages import OperationContext, OperationSnapshot
from workflows.operations.statuses import OperationStatus
from workflows.tenants.deletions.messages import CONFIRM, DeletionRequest
from workflows.tenants.steps import DELETION, DELETION_WORKFLOW

BEING_UNDONE = "The deletion is being undone"
UNDONE = "The deletion was undone; request a new one"
DELETED = "The tenant is deleted; only an export can bring it back"

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
                raise SecondPersonRequiredError.of_field(
                    "confirm", "is not possible with DELETION_TWO_PERSON; send false"
                )
        if body.export and self.settings.export_url is None:
            raise ExportUnavailableError.example()
        wanted = DeletionRequest(
            tenant_id=tenant.tenant_id,
            tenant_name=tenant.name,
            reason=body.reason,
            grace_period_days=body.grace_period_days,
            export=body.export,
            confirmed=body.confirm,
            origin=requester.origin(),
        )
        parameters = _compared(wanted.parameters_shown["parameters"])

        def is_same(snapshot: OperationSnapshot) -> bool:
            return _compared(snapshot.parameters) == parameters

        async def check(connection: AsyncConnection) -> None:
            # A simultaneous request may have deleted the tenant while this one waited for its turn.
            await self.tenants.check_live(connection, tenant.tenant_id)

        operation = await self.starts.start(DELETION, DELETION_WORKFLOW, wanted, is_same=is_same, check=check)
        if body.confirm and not operation.snapshot.parameters.get(CONFIRM):
            # It was started by a request that did not confirm it.
            return await self.confirm(path_id, requester)
        return operation

    async def confirm(self, path_id: str, requester: Requester) -> OperationView:
        """Confirm the tenant's open deletion; a second confirmation changes nothing.

        Raises:
            ProblemError: there is no open deletion, it is being undone, or the caller has requested it and must not
                confirm it.
            TemporalUnavailableError: it is confirmed, but its workflow was not woken; repeat the request.
            DatabaseUnavailableError: nothing was confirmed.
        """
        tenant_id = visible_tenant_id(requester.caller, path_id)
        operation = await self.lookup.find(await self._open_id(tenant_id))
        if not operation.is_open:
            raise DeletionEndedError
        if operation.snapshot.status.is_stopping:
            raise OperationStoppingError(BEING_UNDONE)
        is_first = await self._record_confirmation(operation, requester)
        try:
            await self.operations.wake(operation.in_temporal, "confirm")
        except OperationEndedError:
            raise DeletionEndedError from None
        if not is_first:
            return operation
        # The workflow shows it a moment later.
        return replace(operation, snapshot=operation.snapshot.at_work(status=OperationStatus.RUNNING, error=None))

    async def undo(self, path_id: str, reason: str | None, requester: Requester) -> OperationView:
        """Undo the tenant's deletion before its purge has committed.

        Raises as `OperationCancellation.cancel`, and `ProblemError` if there is no open deletion.
        """
        tenant_id = visible_tenant_id(requester.caller, path_id)
        return await self.cancellation.cancel(await self._open_id(tenant_id), requester, reason)

    async def show(self, caller: Caller, path_id: str) -> DeletionDocument:
        """Return the tenant's newest deletion; raises `ProblemError` if there is none."""
        tenant_id = visible_tenant_id(caller, path_id)
        requested = None
        # Without Temporal the rows have to do.
        with suppress(TemporalUnavailableError):
            requested = await self.starts.find_open(DELETION, tenant_id)
        with database_errors():
            async with self.engine.connect() as connection:
                deletion = await newest_deletion(connection, tenant_id)
        if requested is not None and (deletion is None or deletion.workflow_id != requested.workflow_id):
            # No worker has begun it.
            deletion = DeletionRecord.of_request(requested)
        if deletion is None:
            raise DeletionNotFoundError
        try:
            operation = await self.lookup.find(deletion.workflow_id)
        except OperationNotFoundError:
            operation = None
        return _document(deletion, operation, is_two_person=self.settings.deletion_two_person)

    async def certificate(
        self, caller: Caller, path_id: str, *, checks_place: bool = False
    ) -> tuple[SignedCertificate, Certificate]:
        """Return the certificate of the tenant's newest completed deletion; its MAC was checked.

        With `checks_place`, its event in the audit trail was checked as well. Raises `ProblemError`.
        """
        tenant_id = visible_tenant_id(caller, path_id)
        with database_errors():
            async with self.engine.connect() as connection:
                try:
                    found = await find_certificate(connection, self.signer, tenant_id)
                    if found is not None and checks_place:
                        await check_place(connection, self.audit, found[1])
                except signing.CertificateInvalidError as error:
                    log.warning("a certificate is not genuine", tenant_id=str(tenant_id), reason=str(error))
                    raise CertificateInvalidError(str(error)) from None
        if found is None:
            raise CertificateNotFoundError
        return found

    async def _open_id(self, tenant_id: UUID) -> str:
        """Return the workflow id of the tenant's open deletion; raises `ProblemError` if there is none."""
        if (record := await self.starts.find_open(DELETION, tenant_id)) is not None:
            return record.workflow_id
        with database_errors():
            async with self.engine.connect() as connection:
                ended = await newest_deletion(connection, tenant_id)
        if ended is None:
            raise DeletionNotFoundError
        raise DeletionEndedError(DELETED if ended.deleted_at is not None else UNDONE)

    async def _record_confirmation(self, operation: OperationView, requester: Requester) -> bool:
        """Record the confirmation in the row of the deletion; False if it was confirmed before."""
        context = OperationContext(
            workflow_id=operation.workflow_id, run_id=operation.run_id, snapshot=operation.snapshot
        )
        with database_errors():
            async with self.engine.begin() as connection:
                deletion = await find_deletion(connection, context)
                if deletion is None:
                    raise DeletionNotBegunError
                if not deletion.is_open:
                    raise DeletionEndedError
                if self.settings.deletion_two_person and is_same_person(deletion, requester):
                    raise SecondPersonRequiredError(is_denial=True)
                confirmation = Confirmation(by=requester.name, via=requester.caller.identity)
                is_first = await confirm(connection, context, confirmation) is not None
                if is_first:
                    event = confirmation_event(context, confirmation, requester.origin())
                    await self.audit.append(connection, event)
                elif deletion.confirmed_at is None:
                    raise OperationStoppingError(BEING_UNDONE)
        return is_first


def _compared(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters by which requests are the same. A confirmation can follow."""
    return {name: value for name, value in parameters.items() if name != CONFIRM}


def is_same_person(deletion: DeletionRecord | DeletionDocument, requester: Requester) -> bool:
    """Return whether the requester has requested the deletion, by credential or by name."""
    is_same_credential = deletion.requested_via == requester.caller.identity
    return is_same_credential or (deletion.requested_by or "").casefold() == requester.name.casefold()


def _document(deletion: DeletionRecord, operation: OperationView | None, *, is_two_person: bool) -> DeletionDocument:
    path = f"/tenants/{deletion.tenant_id}/deletion"
    is_stopping = operation is not None and operation.snapshot.status.is_stopping
    is_undoable = deletion.is_open and not is_stopping
    is_unconfirmed = is_undoable and deletion.confirmed_at is None
    links = DeletionLinks(
        tenant=f"/tenants/{deletion.tenant_id}",
        operation=f"/operations/{deletion.workflow_id}",
        confirm=f"{path}/confirm" if is_unconfirmed else None,
        undo=f"{path}/undo" if is_undoable else None,
        certificate=f"{path}/certificate" if deletion.deleted_at is not None else None,
    )
    return DeletionDocument(
        **vars(deletion),
        needs_second_person=is_unconfirmed and is_two_person,
        operation=operation.document if operation is not None else None,
        links=links,
    )
