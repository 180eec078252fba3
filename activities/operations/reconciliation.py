"""Brings the row of an operation in line with its workflow, and closes the row of one that was ended in Temporal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.audit.trail import AuditTrail
from activities.database.own_tables import cancellations, operations
from activities.operations.records import OperationRecord, find_run
from activities.operations.rows import INSERT_OPERATION, documents, request_event, row_values, shown_values
from workflows.operations.messages import (
    OperationContext,
    OperationError,
    OperationSnapshot,
    OperationStatus,
    OperationWarning,
    StepStatus,
)

ENDED_OUTSIDE = "ended-outside"
GONE = "Temporal no longer knows the workflow"

# What a workflow can be in without any transaction of its own writing its row.
MIRRORED = {
    OperationStatus.RETRYING,
    OperationStatus.NEEDS_ATTENTION,
    OperationStatus.AWAITING_CONFIRMATION,
    OperationStatus.WAITING,
    OperationStatus.CANCELLING,
    OperationStatus.ROLLING_BACK,
}


@dataclass(frozen=True)
class Closed:
    """How the row of an operation was closed whose workflow had ended without saying how."""

    status: OperationStatus
    detail: str


async def adopt(connection: AsyncConnection, context: OperationContext) -> bool:
    """Write the row of an operation that could not do so itself; True if there was none."""
    return bool((await connection.execute(INSERT_OPERATION, row_values(context))).rowcount)


async def mirror(connection: AsyncConnection, record: OperationRecord, snapshot: OperationSnapshot) -> bool:
    """Show in the row what its running workflow waits for; True if the row was changed.

    A row that has been written since `record` was read stays as it is: a transaction knows better.
    """
    shown = shown_values(snapshot)
    is_known = shown == shown_values(record.snapshot) and snapshot.tenant_id in {None, record.snapshot.tenant_id}
    if snapshot.status not in MIRRORED or is_known:
        return False
    changed = await connection.execute(
        update(operations)
        .where(
            *record.is_row,
            operations.c.finished_at.is_(None),
            operations.c.updated_at == record.snapshot.updated_at,
        )
        .values(**shown, tenant_id=func.coalesce(operations.c.tenant_id, snapshot.tenant_id), updated_at=func.now())
    )
    return changed.rowcount == 1


async def close_ended_outside(
    connection: AsyncConnection, record: OperationRecord, reason: str, ended_as: OperationSnapshot | None = None
) -> Closed | None:
    """Close the row of an operation whose workflow has ended or is gone; None if it is closed already.

    Waits for a transaction that still runs, and lets none commit later. A committed operation has completed, with a
    warning about what was to follow. Otherwise nothing was written: it ends as `ended_as`, which the workflow itself
    said, or as cancelled if that was asked for, or else as failed.
    """
    row = (
        await connection.execute(select(operations).where(*record.is_row).with_for_update(of=operations))
    ).one_or_none()
    if row is None or row.finished_at is not None:
        return None
    if row.committed_at is not None:
        closed, changes = _completed(record, reason)
    elif ended_as is not None and ended_as.status in {OperationStatus.FAILED, OperationStatus.CANCELLED}:
        closed, changes = Closed(ended_as.status, reason), shown_values(ended_as)
    else:
        asked = exists().where(
            cancellations.c.workflow_id == record.workflow_id, cancellations.c.run_id == record.run_id
        )
        is_cancelled = row.cancelled_by is not None or await connection.scalar(select(asked))
        detail = f"{reason}; nothing was written"
        error = OperationError(code=ENDED_OUTSIDE, detail=detail, step=row.step)
        status = OperationStatus.CANCELLED if is_cancelled else OperationStatus.FAILED
        closed = Closed(status, detail)
        changes = {"status": status, "error": None if is_cancelled else error.model_dump(mode="json")}
    times = {"next_try_at": None, "attention_deadline": None, "updated_at": func.now(), "finished_at": func.now()}
    await connection.execute(update(operations).where(*record.is_row).values({**changes, **times}))
    return closed


async def settle_ended(
    connection: AsyncConnection, context: OperationContext, reason: str, audit: AuditTrail
) -> OperationRecord | None:
    """Close the row of an operation whose workflow was ended in Temporal, write it if there is none, and return it.

    None if there can be no row, because another operation of the tenant is open.
    """
    is_new = await adopt(connection, context)
    record = await find_run(connection, context.workflow_id, context.run_id)
    if record is None:
        return None
    await close_ended_outside(connection, record, reason)
    await audit.append_once(connection, [request_event(context)] if is_new else [])
    return await find_run(connection, context.workflow_id, context.run_id)


def ended_before_completion(pending: Sequence[str], reason: str) -> OperationWarning:
    """Return the warning about a committed operation whose workflow ended before the steps that were to follow."""
    left = f"not done: {', '.join(pending)}" if pending else "nothing was left to do"
    return OperationWarning(code=ENDED_OUTSIDE, detail=f"{reason} after the commit; {left}")


def _completed(record: OperationRecord, reason: str) -> tuple[Closed, dict[str, Any]]:
    snapshot = record.snapshot
    *following, _ = snapshot.steps
    pending = [step.name for step in following if step.status not in {StepStatus.COMPLETED, StepStatus.SKIPPED}]
    warning = ended_before_completion(pending, reason)
    changes: dict[str, Any] = {
        "status": OperationStatus.COMPLETED,
        "error": None,
        "progress": 100,
        "warnings": documents((*snapshot.warnings, warning)),
    }
    return Closed(OperationStatus.COMPLETED, warning.detail), changes
