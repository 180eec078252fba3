"""Brings the row of an operation in line with its workflow, and closes the row of one that ended outside."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.audit import AuditTrail
from activities.audit_events import Action
from activities.catalogue import read_catalogue
from activities.operation_events import operation_event
from activities.operation_records import OperationRecord
from activities.own_tables import operations
from activities.purge import count_tenant_rows
from workflows.messages import (
    CancelRequest,
    OperationError,
    OperationSnapshot,
    OperationStatus,
    TenantCreationInput,
)

ENDED_OUTSIDE = "ended-outside"
GONE = "Temporal no longer knows the workflow, which had not finished or cleaned up"
MOST_TABLES_NAMED = 10
UNDONE = {OperationStatus.FAILED, OperationStatus.CANCELLED}

# What a workflow can be in without any step writing its row.
WAITING = {
    OperationStatus.RETRYING,
    OperationStatus.NEEDS_ATTENTION,
    OperationStatus.CANCELLING,
    OperationStatus.ROLLING_BACK,
}
SHOWN = (
    "status",
    "step",
    "progress",
    "steps",
    "error",
    "cancelled_by",
    "cancelled_via",
    "cancel_reason",
    "next_try_at",
    "attention_deadline",
)


@dataclass(frozen=True)
class Closed:
    """How an operation that ended outside was closed, and the tenant's rows that are left, by table."""

    status: OperationStatus
    error: OperationError
    remaining: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ToCleanUp:
    """The tenant of an operation that is to be cleaned up, as its row has it."""

    tenant_id: UUID | None


def is_closed(snapshot: OperationSnapshot) -> bool:
    """Whether a row says how the operation ended, or that its workflow did and what that has left."""
    return snapshot.status.is_final or (snapshot.error is not None and snapshot.error.code == ENDED_OUTSIDE)


async def adopt(
    connection: AsyncConnection,
    snapshot: OperationSnapshot,
    request: TenantCreationInput,
    *,
    workflow_id: str,
    run_id: str,
    namespace: str,
    audit: AuditTrail,
) -> bool:
    """Write the row of an operation none of whose steps could, with its audit event; whether there was none."""
    inserted = await connection.execute(
        postgres_insert(operations)
        .values(
            workflow_id=workflow_id,
            run_id=run_id,
            namespace=namespace,
            kind=snapshot.kind,
            tenant_id=snapshot.tenant_id or request.tenant_id,
            tenant_name=request.tenant_name,
            product_code=request.product_code,
            status=OperationStatus.QUEUED,
            steps=[step.model_dump(mode="json") for step in snapshot.steps],
            requested_by=request.origin.requested_by,
            requested_via=request.origin.requested_via,
            request_fingerprint=request.origin.request_fingerprint,
            started_at=snapshot.started_at,
            updated_at=snapshot.started_at,
        )
        .on_conflict_do_nothing()
    )
    if inserted.rowcount:
        tenant_id = snapshot.tenant_id or request.tenant_id
        await audit.append(
            connection,
            operation_event(Action.TENANT_CREATE, request.origin, workflow_id=workflow_id, tenant_id=tenant_id),
        )
    return inserted.rowcount == 1


async def mirror(connection: AsyncConnection, record: OperationRecord, snapshot: OperationSnapshot) -> bool:
    """Show in the row what its running workflow waits for; whether the row was changed.

    A row that has been written since `record` was read stays as it is: a step knows better.
    """
    shown = snapshot.model_dump(mode="json", by_alias=False, include=set(SHOWN))
    known = record.snapshot.model_dump(mode="json", by_alias=False, include=set(SHOWN))
    knows_tenant = snapshot.tenant_id in {None, record.snapshot.tenant_id}
    if snapshot.status not in WAITING or (shown == known and knows_tenant):
        return False
    tenant_id = func.coalesce(operations.c.tenant_id, snapshot.tenant_id)
    times = {"next_try_at": snapshot.next_try_at, "attention_deadline": snapshot.attention_deadline}
    changed = await connection.execute(
        update(operations)
        .where(
            *_is(record),
            operations.c.finished_at.is_(None),
            operations.c.updated_at == record.snapshot.updated_at,
        )
        .values({**shown, **times, "tenant_id": tenant_id, "updated_at": func.now()})
    )
    return changed.rowcount == 1


async def cancel_ended_outside(
    connection: AsyncConnection, workflow_id: str, run_id: str, request: CancelRequest
) -> ToCleanUp | None:
    """Note who has what an ended workflow left removed; none where the operation has no row, or one that is closed.

    From here on the operation ends as `cancelled`, whether its clean-up says so first or `close_ended_outside`.
    Waits for a step that still runs.
    """
    row = (
        await connection.execute(
            update(operations)
            .where(
                operations.c.workflow_id == workflow_id,
                operations.c.run_id == run_id,
                operations.c.finished_at.is_(None),
            )
            .values(
                cancelled_by=request.cancelled_by, cancelled_via=request.cancelled_via, cancel_reason=request.reason
            )
            .returning(operations.c.tenant_id)
        )
    ).one_or_none()
    return ToCleanUp(row.tenant_id) if row is not None else None


async def close_ended_outside(
    connection: AsyncConnection, record: OperationRecord, reason: str, ended_as: OperationSnapshot | None = None
) -> Closed | None:
    """Close the row of an operation whose workflow has ended without saying how, or is gone; none if it is closed.

    Waits for a step that still runs. Where nothing of the tenant is left the operation ends as `failed`, or as
    `cancelled` where it was to be cancelled, and no later step can write; where rows are left it waits for an
    operator, and a second call counts them again. Nothing is deleted. `ended_as` is what the workflow itself said at
    its end: where nothing is left, that holds.
    """
    row = (
        await connection.execute(
            select(
                operations.c.tenant_id,
                operations.c.owns_tenant,
                operations.c.status,
                operations.c.cancelled_by,
                operations.c.cancel_reason,
                operations.c.finished_at,
            )
            .where(*_is(record))
            .with_for_update()
        )
    ).one_or_none()
    if row is None or row.finished_at is not None:
        return None
    remaining: Mapping[str, int] = {}
    if row.owns_tenant:
        remaining = await count_tenant_rows(connection, await read_catalogue(connection), row.tenant_id)
    error = OperationError(
        code=ENDED_OUTSIDE, detail=f"{reason}; {_what_is_left(remaining, ended_as)}", step=record.snapshot.step
    )
    if remaining:
        status = OperationStatus.NEEDS_ATTENTION
    elif ended_as is not None and ended_as.status in UNDONE:
        status, error = ended_as.status, ended_as.error or error
    elif row.cancelled_by is not None or row.cancel_reason is not None:
        status = OperationStatus.CANCELLED
    else:
        status = OperationStatus.FAILED
    await connection.execute(
        update(operations)
        .where(*_is(record))
        .values(
            status=status,
            error=error.model_dump(mode="json") if status is not OperationStatus.CANCELLED else None,
            tenant_id=func.coalesce(operations.c.tenant_id, ended_as.tenant_id if ended_as is not None else None),
            owns_tenant=bool(remaining),
            next_try_at=None,
            attention_deadline=None,
            updated_at=func.now(),
            finished_at=func.now() if status.is_final else None,
        )
    )
    return Closed(status, error, remaining)


def _is(record: OperationRecord) -> tuple[ColumnElement[bool], ...]:
    return (operations.c.workflow_id == record.workflow_id, operations.c.run_id == record.run_id)


def _what_is_left(remaining: Mapping[str, int], ended_as: OperationSnapshot | None) -> str:
    if not remaining:
        return "nothing of the tenant is left"
    named = [f"{table} ({rows})" for table, rows in sorted(remaining.items())[:MOST_TABLES_NAMED]]
    more = [f"and {len(remaining) - MOST_TABLES_NAMED} more tables"] if len(remaining) > MOST_TABLES_NAMED else []
    # What a workflow says of its own end is believed, and one that has ended can't be cancelled.
    cure = "cancel" if ended_as is None else "delete the workflow's history in Temporal, then cancel"
    return (
        f"{sum(remaining.values())} rows of the tenant are left: {', '.join([*named, *more])}; {cure} to remove them"
    )
