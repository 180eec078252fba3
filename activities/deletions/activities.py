"""The activities of a deletion before and after its purge."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.alga.tables import tenants
from activities.audit.events import Action, AuditEvent
from activities.audit.trail import AuditTrail
from activities.customers.cancelling import cancel_customer, reinstate_customer
from activities.deletions import alga_record
from activities.deletions.rows import (
    Confirmation,
    DeletionRecord,
    confirm,
    end_deletion,
    find_deletion,
    insert_deletion,
    note_export,
)
from activities.errors import FinalError, local_only, temporal_errors
from activities.operations.audit_events import operation_event
from activities.operations.closing import lock_for_closing
from activities.operations.queries import find_newest_of_tenant
from activities.operations.rows import OperationRow, request_cancel
from activities.suspensions.activities import check_tenant
from activities.suspensions.rows import find_left_out, reactivate, suspend
from workflows.operations.failures import OPERATION_CLOSED
from workflows.operations.messages import (
    UNKNOWN_CALLER,
    Cancellation,
    ClosingInput,
    Closure,
    OperationContext,
    OperationWarning,
    Origin,
    StepDone,
)
from workflows.tenants.deletions.messages import DeletionInput, ExportCancellation
from workflows.tenants.deletions.state import AWAITING_CONFIRMATION, CONFIRMED, PENDING, ROLLED_BACK, DeletionState
from workflows.tenants.steps import (
    BEGIN_DELETION_ACTIVITY,
    CANCEL_EXPORT_ACTIVITY,
    READ_DELETION_ACTIVITY,
    TENANT_CREATION,
    UNDO_DELETION_ACTIVITY,
)

EXPORT_UNAVAILABLE = "export-unavailable"
# Namespace of the ids of the audit events of confirmations.
CONFIRMATIONS = UUID("2b1f4f3e-55a4-4c0e-9a8d-8f2f6a0f7d10")


class DeletionActivities:
    """Begin and undo deletions; `can_export` says whether a store is configured."""

    def __init__(
        self, engine: AsyncEngine, audit: AuditTrail, management_tenant: UUID | None, *, can_export: bool
    ) -> None:
        self._engine = engine
        self._audit = audit
        self._management_tenant = management_tenant
        self._can_export = can_export

    @activity.defn(name=BEGIN_DELETION_ACTIVITY)
    @local_only
    @temporal_errors
    async def begin_deletion(self, given: DeletionInput) -> DeletionState:
        """Record the deletion, here and in Alga's own table, and suspend the tenant; a second run changes nothing.

        Raises `ApplicationError`; nothing was written then.
        """
        context, request = given.operation, given.request
        async with self._engine.begin() as connection:
            row = OperationRow(connection, context)
            await row.check_open(await row.ensure_locked())
            known = await find_deletion(connection, context)
            if known is not None:
                stats = await alga_record.find_stats(connection, known.tenant_id)
                lost = await self._cancel_customer(connection, known.tenant_id)
                return state_of(known, stats=stats, warnings=[*await _warnings(connection, stats), *lost])
            if request.export and not self._can_export:
                detail = "exports are not configured; set EXPORT_URL, or send export: false"
                raise FinalError(EXPORT_UNAVAILABLE, detail, field="export")
            # Before the tenant is locked, because it takes a moment.
            stats = await _stats(connection, context.tenant_id)
            await check_tenant(connection, context.tenant_id, self._management_tenant)
            await insert_deletion(connection, context, request)
            record = await existing_deletion(connection, context)
            if stats is not None:
                await alga_record.insert_record(
                    connection,
                    context,
                    record.deletion_id,
                    status=PENDING if request.export else AWAITING_CONFIRMATION,
                    trigger_source=request.trigger_source,
                    triggered_by=request.triggered_by or context.snapshot.requested_by,
                    subscription=request.subscription_external_id,
                    stats=stats,
                )
            await suspend(connection, context, request.reason)
            lost = await self._cancel_customer(connection, context.tenant_id)
            if request.confirmed:
                by = context.snapshot.requested_by or UNKNOWN_CALLER
                confirmation = Confirmation(by=by, via=context.snapshot.requested_via or by)
                record = await confirm_deletion(connection, self._audit, context, confirmation)
            await self._audit.append_once(connection, row.request_events)
            return state_of(record, stats=stats, warnings=[*await _warnings(connection, stats), *lost])

    async def _cancel_customer(self, connection: AsyncConnection, tenant_id: UUID) -> list[OperationWarning]:
        if self._management_tenant is None:
            return []
        creation = await find_newest_of_tenant(connection, tenant_id, TENANT_CREATION.name)
        result = creation.snapshot.result or {} if creation is not None else {}
        tracked = result.get("customerClientId")
        return await cancel_customer(
            connection, tenant_id, self._management_tenant, UUID(tracked) if tracked is not None else None
        )

    @activity.defn(name=READ_DELETION_ACTIVITY)
    @local_only
    @temporal_errors
    async def read_deletion(self, given: DeletionInput) -> DeletionState:
        """Return what the row says, and show a confirmation in Alga's table; raises `ApplicationError`.

        An export that is given is noted in the row first.
        """
        async with self._engine.begin() as connection:
            if given.export_id is not None:
                await note_export(connection, given.operation, given.export_id)
            record = await existing_deletion(connection, given.operation)
            if given.export_id is not None and record.is_open:
                await alga_record.update_record(
                    connection, record.tenant_id, record.deletion_id, AWAITING_CONFIRMATION
                )
            await show_confirmation(connection, record)
        return state_of(record)

    @activity.defn(name=CANCEL_EXPORT_ACTIVITY)
    @local_only
    @temporal_errors
    async def cancel_export(self, given: ExportCancellation) -> StepDone:
        """Keep the export before the deletion from its commit; raises `ApplicationError`."""
        async with self._engine.begin() as connection:
            await request_cancel(connection, given.workflow_id, given.run_id, given.cancellation)
        return StepDone()

    @activity.defn(name=UNDO_DELETION_ACTIVITY)
    @local_only
    @temporal_errors
    async def undo_deletion(self, closing: ClosingInput) -> Closure:
        """Put back every row that the deletion has changed, and close the operation; raises `ApplicationError`.

        Writes nothing if the purge has committed or the operation was closed before, and returns what the row says.
        """
        context = closing.operation
        async with self._engine.begin() as connection:
            row = OperationRow(connection, context)
            if (closure := await lock_for_closing(row)) is not None:
                return closure
            await undo_steps(connection, context, closing.cancellation)
            await row.close(context.snapshot)
            await self._audit.append_once(connection, row.request_events)
        return Closure()


async def undo_steps(
    connection: AsyncConnection, context: OperationContext, cancellation: Cancellation | None = None
) -> None:
    """Put back every row that a deletion has changed before its purge; a second run changes nothing.

    The cancellation names what Alga's record shows.
    """
    snapshot = context.snapshot
    cancellation = cancellation or Cancellation(by=snapshot.cancelled_by, reason=snapshot.cancel_reason)
    known = await find_deletion(connection, context)
    if known is None:
        return
    await reactivate(connection, known.tenant_id, suspended_by=context)
    await reinstate_customer(connection, known.tenant_id)
    await alga_record.update_record(
        connection,
        known.tenant_id,
        known.deletion_id,
        ROLLED_BACK,
        rollback_reason=cancellation.reason,
        rolled_back_by=alga_record.uuid_of(cancellation.by or cancellation.claimed_by),
        rolled_back_at=datetime.now(UTC),
    )
    await end_deletion(connection, context, is_undone=True)


async def confirm_deletion(
    connection: AsyncConnection, audit: AuditTrail, context: OperationContext, confirmation: Confirmation
) -> DeletionRecord:
    """Record a confirmation, here, in Alga's table and in the audit trail; one after another changes nothing.

    Raises `FinalError` if there is no such deletion.
    """
    scheduled_for = await confirm(connection, context, confirmation)
    record = await existing_deletion(connection, context)
    if scheduled_for is not None:
        await show_confirmation(connection, record, confirmation.claimed_by)
        await audit.append(connection, confirmation_event(context, confirmation))
    return record


async def existing_deletion(connection: AsyncConnection, context: OperationContext) -> DeletionRecord:
    """Return the deletion of an operation; raises `FinalError` if there is none."""
    record = await find_deletion(connection, context)
    if record is None:
        raise FinalError(OPERATION_CLOSED, "the deletion's row has vanished, so nothing was written")
    return record


async def show_confirmation(
    connection: AsyncConnection, record: DeletionRecord, claimed_by: str | None = None
) -> None:
    """Show a confirmation of an open deletion in Alga's table, if there is one."""
    if record.confirmed_at is None or not record.is_open:
        return
    is_wire = record.confirmed_via == UNKNOWN_CALLER
    actor = claimed_by if is_wire else record.confirmed_by
    # A later look does not know the claim any more.
    by = {"confirmed_by": alga_record.uuid_of(actor)} if actor is not None else {}
    await alga_record.update_record(
        connection,
        record.tenant_id,
        record.deletion_id,
        CONFIRMED,
        confirmation_type=_confirmation_type(record),
        confirmed_at=record.confirmed_at,
        deletion_scheduled_for=record.scheduled_for,
        **by,
    )


def state_of(
    record: DeletionRecord,
    *,
    stats: dict[str, Any] | None = None,
    claimed_by: str | None = None,
    warnings: Iterable[OperationWarning] = (),
) -> DeletionState:
    """Return the state for the workflow, which shows it to Alga's client: without callers of the gateway."""
    is_wire = record.confirmed_via == UNKNOWN_CALLER
    person = alga_record.uuid_of(record.confirmed_by)
    return DeletionState(
        is_recorded=True,
        stats=stats,
        confirmation_type=_confirmation_type(record) if record.confirmed_at is not None else None,
        confirmed_by=claimed_by if is_wire else str(person) if person is not None else None,
        confirmed_at=record.confirmed_at,
        scheduled_for=record.scheduled_for,
        warnings=tuple(warnings),
    )


def _confirmation_type(record: DeletionRecord) -> str:
    days = record.grace_period_days
    return record.confirmation_type or ("immediate" if days == 0 else f"{days}_days")


def confirmation_event(
    context: OperationContext, confirmation: Confirmation, origin: Origin | None = None
) -> AuditEvent:
    """Return the audit event of a confirmation, one for each deletion."""
    origin = origin or Origin(requested_by=confirmation.by, requested_via=confirmation.via)
    event_id = uuid5(CONFIRMATIONS, f"{context.workflow_id}\0{context.run_id}")
    details = {"type": confirmation.type, "claimedBy": confirmation.claimed_by}
    given = {name: value for name, value in details.items() if value is not None}
    return operation_event(Action.TENANT_CONFIRM_DELETION, context, origin, event_id=event_id, details=given)


async def _stats(connection: AsyncConnection, tenant_id: UUID) -> dict[str, Any] | None:
    """Return what Alga's own record of the deletion shows of the tenant, or None if this Alga has no such record."""
    if not await alga_record.has_record_table(connection):
        return None
    query = select(tenants.c.licensed_user_count).where(tenants.c.tenant == tenant_id)
    counts = await alga_record.read_stats(connection, tenant_id)
    collected_at = datetime.now(UTC).isoformat()
    return {**counts, "licenseCount": await connection.scalar(query), "collectedAt": collected_at, "export": None}


async def _warnings(connection: AsyncConnection, stats: Mapping[str, Any] | None) -> list[OperationWarning]:
    """Return the warnings of the first step, the same in each attempt."""
    return [*await find_left_out(connection), *alga_record.warnings_of(stats or {})]
