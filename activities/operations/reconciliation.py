"""Brings the row of an operation in line with its workflow, and closes the row of one that was ended in Temporal."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.audit.trail import AuditTrail
from activities.operations.queries import OperationRecord
from activities.operations.rows import OperationRow, shown_values
from workflows.operations.failures import ENDED_OUTSIDE
from workflows.operations.kinds import KINDS, given_up, rolled_back
from workflows.operations.messages import OperationContext, OperationError, OperationSnapshot, OperationWarning
from workflows.operations.statuses import OperationStatus

GONE = "Temporal no longer knows the workflow"


async def mirror(connection: AsyncConnection, record: OperationRecord, snapshot: OperationSnapshot) -> bool:
    """Show in the row that its open workflow waits or stops; True if the row was changed.

    A row that was written since `record` was read, or is locked, stays as it is, because a transaction knows better.
    Transactions write every other status themselves.
    """
    is_known = shown_values(snapshot) == shown_values(record.snapshot)
    if is_known and snapshot.tenant_id in {None, record.snapshot.tenant_id}:
        return False
    if not (snapshot.status.is_waiting or snapshot.status.is_stopping):
        return False
    return await OperationRow(connection, record.context).show(snapshot, read_at=record.snapshot.updated_at)


async def close_ended_outside(
    row: OperationRow,
    reason: str,
    ended_as: OperationSnapshot | None = None,
    undo: Callable[[], Awaitable[None]] | None = None,
) -> OperationSnapshot | None:
    """Close the row of an operation whose workflow has ended or is gone; None if it is closed already.

    Waits for a running transaction, and lets none commit later. `ended_as` is what the workflow itself said, `undo`
    undoes what its steps did before a commit.
    """
    locked = await row.lock()
    record = await row.load()
    if locked is None or locked.has_ended or record is None:
        return None
    if ended_as is None or not ended_as.status.is_unsuccessful or locked.committed is not None:
        ended_as = ended_outside(record.snapshot, reason, is_cancelled=locked.is_cancelled)
    if undo is not None and locked.committed is None:
        await undo()
    await row.close(ended_as)
    return ended_as


async def settle_ended(
    connection: AsyncConnection, context: OperationContext, reason: str, audit: AuditTrail
) -> OperationRecord | None:
    """Close the row of an operation whose workflow was ended in Temporal, insert it if there is none, and return it.

    None if there can be no row, because another operation of the tenant is open.
    """
    row = OperationRow(connection, context)
    await row.insert()
    await close_ended_outside(row, reason)
    await audit.append_once(connection, row.request_events)
    return await row.load()


def ended_outside(
    snapshot: OperationSnapshot, reason: str, *, closed_at: datetime | None = None, is_cancelled: bool = False
) -> OperationSnapshot:
    """Return the snapshot of an operation whose workflow was ended before it could say how.

    A committed operation has completed, with a warning that names the steps left. Otherwise nothing was written, or
    maintenance undoes it, and the operation is cancelled if that was requested, or else failed.
    """
    closed_at = closed_at or snapshot.updated_at
    error = None
    warnings = snapshot.warnings
    if snapshot.committed_at is not None:
        status = OperationStatus.COMPLETED
        pending = ", ".join(step.name for step in snapshot.steps[:-1] if not step.is_done)
        left = f"not done: {pending}" if pending else "nothing was left to do"
        warnings += (OperationWarning(code=ENDED_OUTSIDE, detail=f"{reason} after the commit; {left}"),)
        snapshot = given_up(snapshot, closed_at)
    elif is_cancelled or snapshot.cancelled_by is not None or snapshot.status.is_stopping:
        status = OperationStatus.CANCELLED
        snapshot = rolled_back(snapshot, None)
    else:
        status = OperationStatus.FAILED
        kind = KINDS.get(snapshot.kind)
        left = "maintenance undoes its steps" if kind is not None and kind.is_staged else "nothing was written"
        error = OperationError(code=ENDED_OUTSIDE, detail=f"{reason}; {left}", step=snapshot.step)
        snapshot = rolled_back(snapshot, snapshot.step, closed_at)
    return snapshot.at_work(
        status=status,
        error=error,
        warnings=warnings,
        progress=100 if status is OperationStatus.COMPLETED else 0,
        updated_at=closed_at,
        finished_at=closed_at,
    )
