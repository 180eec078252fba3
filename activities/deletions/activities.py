"""The activities of a deletion before and after its purge."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.alga.tables import tenants
from activities.audit.events import Action
from activities.audit.trail import AuditTrail
from activities.deletions import alga_record
from activities.deletions.rows import (
    Confirmation,
    DeletionRecord,
    confirm,
    deletion_id,
    end_deletion,
    find_deletion,
    insert_deletion,
    note_export,
)
from activities.errors import FinalError, local_only, temporal_errors
from activities.operations.audit_events import operation_event
from activities.operations.rows import OperationRow
from activities.suspensions.activities import check_tenant
from activities.suspensions.rows import reactivate, suspend
from workflows.operations.failures import OPERATION_CLOSED
from workflows.operations.messages import UNKNOWN_CALLER, Closure, OperationContext, OperationInput, Origin
from workflows.tenants.deletion import GRACE_DAYS, ConfirmationInput, DeletionInput, DeletionState
from workflows.tenants.steps import (
    BEGIN_DELETION_ACTIVITY,
    CONFIRM_DELETION_ACTIVITY,
    READ_DELETION_ACTIVITY,
    UNDO_DELETION_ACTIVITY,
)

EXPORT_UNAVAILABLE = "export-unavailable"
# Namespace of the ids of the audit events of confirmations.
CONFIRMATIONS = UUID("2b1f4f3e-55a4-4c0e-9a8d-8f2f6a0f7d10")


class DeletionActivities:
    """Begin, confirm and undo deletions.

    `wire_confirms` says whether clients of Temporal may confirm, `can_export` whether a store is configured.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        audit: AuditTrail,
        management_tenant: UUID | None,
        *,
        wire_confirms: bool,
        can_export: bool,
    ) -> None:
        self._engine = engine
        self._audit = audit
        self._management_tenant = management_tenant
        self._wire_confirms = wire_confirms
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
                return DeletionState(scheduled_for=known.scheduled_for)
            if request.export and not self._can_export:
                detail = "exports are not configured; set EXPORT_URL, or send export: false"
                raise FinalError(EXPORT_UNAVAILABLE, detail, field="export")
            await check_tenant(connection, context.tenant_id, self._management_tenant)
            await insert_deletion(connection, context, request)
            if await alga_record.has_record_table(connection):
                await alga_record.insert_record(
                    connection,
                    context,
                    deletion_id(context),
                    trigger_source=request.trigger_source,
                    triggered_by=request.triggered_by or context.snapshot.requested_by,
                    subscription=request.subscription_external_id,
                    stats=await _stats(connection, context.tenant_id),
                )
            await suspend(connection, context, request.reason)
            scheduled_for = None
            if request.confirmed:
                by = context.snapshot.requested_by or UNKNOWN_CALLER
                confirmation = Confirmation(by=by, via=context.snapshot.requested_via or by)
                scheduled_for = await self._confirm(connection, context, confirmation)
            await self._audit.append_once(connection, row.request_events)
        return DeletionState(scheduled_for=scheduled_for)

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
            record = await _existing(connection, given.operation)
            if record.confirmed_at is not None:
                await _show_confirmation(connection, record)
        return DeletionState(scheduled_for=record.scheduled_for)

    @activity.defn(name=CONFIRM_DELETION_ACTIVITY)
    @local_only
    @temporal_errors
    async def confirm_deletion(self, given: ConfirmationInput) -> DeletionState:
        """Confirm for a client of Temporal, or for the end of 90 days; raises `ApplicationError`.

        A refused confirmation changes nothing, and the result says why.
        """
        context = given.operation
        if not self._wire_confirms:
            refused = (
                "a deletion can't be confirmed over Temporal: WIRE_DELETION is off, or DELETION_TWO_PERSON is on"
            )
            return DeletionState(refused=refused)
        async with self._engine.begin() as connection:
            by = given.claimed_by or UNKNOWN_CALLER
            confirmation = Confirmation(
                by=by, via=UNKNOWN_CALLER, grace_period_days=GRACE_DAYS[given.type], type=given.type
            )
            await self._confirm(connection, context, confirmation)
            record = await _existing(connection, context)
        return DeletionState(scheduled_for=record.scheduled_for)

    @activity.defn(name=UNDO_DELETION_ACTIVITY)
    @local_only
    @temporal_errors
    async def undo_deletion(self, closing: OperationInput) -> Closure:
        """Put back every row that the deletion has changed, and close the operation; raises `ApplicationError`.

        Writes nothing if the purge has committed or the operation was closed before, and returns what the row says.
        """
        context = closing.operation
        async with self._engine.begin() as connection:
            row = OperationRow(connection, context)
            locked = await row.lock()
            if locked is None:
                await row.insert(has_ended=True)
            elif locked.committed is not None:
                return Closure(committed=locked.committed)
            elif locked.has_ended:
                record = await row.load()
                return Closure(ended=record.snapshot if record is not None else None)
            await undo_steps(connection, context)
            await row.close(context.snapshot)
            await self._audit.append_once(connection, row.request_events)
        return Closure()

    async def _confirm(
        self, connection: AsyncConnection, context: OperationContext, confirmation: Confirmation
    ) -> datetime | None:
        scheduled_for = await confirm(connection, context, confirmation)
        if scheduled_for is not None:
            await _show_confirmation(connection, await _existing(connection, context))
            await self._audit.append(connection, confirmation_event(context, confirmation))
        return scheduled_for


async def undo_steps(connection: AsyncConnection, context: OperationContext) -> None:
    """Put back every row that a deletion has changed before its purge; a second run changes nothing."""
    known = await find_deletion(connection, context)
    if known is None:
        return
    await reactivate(connection, known.tenant_id, suspended_by=context)
    await alga_record.update_record(
        connection,
        known.tenant_id,
        known.deletion_id,
        "rolled_back",
        rollback_reason=context.snapshot.cancel_reason,
        rolled_back_by=alga_record.uuid_of(context.snapshot.cancelled_by),
        rolled_back_at=datetime.now(UTC),
    )
    await end_deletion(connection, context, is_undone=True)


def confirmation_event(context: OperationContext, confirmation: Confirmation, origin: Origin | None = None) -> Any:
    """Return the audit event of a confirmation, one for each deletion."""
    origin = origin or Origin(requested_by=confirmation.by, requested_via=confirmation.via)
    event_id = uuid5(CONFIRMATIONS, f"{context.workflow_id}\0{context.run_id}")
    return operation_event(Action.TENANT_CONFIRM_DELETION, context, origin, event_id=event_id)


async def _existing(connection: AsyncConnection, context: OperationContext) -> DeletionRecord:
    record = await find_deletion(connection, context)
    if record is None:
        raise FinalError(OPERATION_CLOSED, "the deletion's row has vanished, so nothing was written")
    return record


async def _show_confirmation(connection: AsyncConnection, record: DeletionRecord) -> None:
    if record.undone_at is not None or record.deleted_at is not None:
        return
    await alga_record.update_record(
        connection,
        record.tenant_id,
        record.deletion_id,
        "confirmed",
        confirmation_type=record.confirmation_type or f"{record.grace_period_days}_days",
        confirmed_by=alga_record.uuid_of(record.confirmed_by),
        confirmed_at=record.confirmed_at,
        deletion_scheduled_for=record.scheduled_for,
    )


async def _stats(connection: AsyncConnection, tenant_id: UUID) -> dict[str, Any]:
    query = select(tenants.c.licensed_user_count).where(tenants.c.tenant == tenant_id)
    counts = await alga_record.read_stats(connection, tenant_id)
    collected_at = datetime.now(UTC).isoformat()
    return {**counts, "licenseCount": await connection.scalar(query), "collectedAt": collected_at, "export": None}
