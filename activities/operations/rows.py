"""The `operations` table: one row for each workflow run, whose lock decides how the operation goes on.

A transaction that commits for an operation locks the row first and goes on only while the operation is open. Closing
or changing the operation takes the same lock. So an attempt that was given up on, but whose process still runs,
can't commit behind the back of what came after it.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    func,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.exceptions import ApplicationError

from activities.alga.bulk_insert import to_json
from activities.audit.events import Action, AuditEvent
from activities.database.own_tables import audit_events, cancellations, operations
from activities.database.transactions import script_literal
from activities.errors import CancelRequestedError, FinalError
from activities.operations.audit_events import operation_event
from workflows.operations.failures import PARAMETER_USED, PARAMETERS_CHANGED, START_USED
from workflows.operations.kinds import KINDS
from workflows.operations.messages import (
    CancelRequest,
    Committed,
    FailureDetails,
    OperationContext,
    OperationSnapshot,
    OperationStatus,
    StepProgress,
    StepStatus,
)

# Made once: making a statement takes as long as running it.
INSERT_OPERATION = postgres_insert(operations).on_conflict_do_nothing()

_WORKFLOW = bindparam("workflow", type_=Text)
_RUN = bindparam("run", type_=Text)
_START = bindparam("start", type_=Text)
_ROW = and_(operations.c.workflow_id == _WORKFLOW, operations.c.run_id == _RUN)
_OPEN = and_(operations.c.finished_at.is_(None), operations.c.committed_at.is_(None))
_CANCELLATION: Select[Any] = (
    select(cancellations)
    .where(
        cancellations.c.workflow_id == _WORKFLOW,
        or_(cancellations.c.run_id == _RUN, cancellations.c.run_id == _START),
    )
    .limit(1)
)
_COMMIT = """
    UPDATE alga_tenants.operations SET
        status = CASE WHEN EXISTS (
            SELECT FROM alga_tenants.cancellations WHERE workflow_id = {workflow} AND run_id IN ({run}, {start})
        ) THEN NULL ELSE {status} END,
        step = {step}, progress = {progress}, steps = {steps}::jsonb, result = {result}::jsonb,
        error = NULL, next_try_at = NULL, attention_deadline = NULL, updated_at = now(),
        committed_at = {committed_at}::timestamptz,
        finished_at = CASE WHEN {is_complete} THEN {committed_at}::timestamptz END
    WHERE workflow_id = {workflow} AND run_id = {run}
"""
_LOCKED = (
    operations.c.status,
    operations.c.steps,
    operations.c.result,
    operations.c.committed_at,
    operations.c.finished_at,
    operations.c.parameters_version,
    _CANCELLATION.exists().label("is_cancelled"),
)


@dataclass(frozen=True)
class LockedOperation:
    """The row of an operation, locked until the transaction ends."""

    status: OperationStatus
    committed: Committed | None
    has_ended: bool
    is_cancelled: bool
    parameters_version: int
    also: tuple[Any, ...] = ()


async def lock_operation(
    connection: AsyncConnection, context: OperationContext, *also: ColumnElement[Any], **values: Any
) -> LockedOperation | None:
    """Lock the operation's row, or return None if there is none.

    The expressions of `also`, with their values, are evaluated in the same round trip, and returned as `also`.
    """
    row = (await connection.execute(_lock_statement(also), {**_key(context), **values})).one_or_none()
    if row is None:
        return None
    committed = None
    if row.committed_at is not None:
        steps = tuple(StepProgress.model_validate(step) for step in row.steps)
        committed = Committed(committed_at=row.committed_at, steps=steps, result=row.result)
    return LockedOperation(
        status=OperationStatus(row.status),
        committed=committed,
        has_ended=row.finished_at is not None,
        is_cancelled=row.is_cancelled,
        parameters_version=row.parameters_version,
        also=tuple(row)[len(_LOCKED) :],
    )


@cache
def _lock_statement(also: tuple[ColumnElement[Any], ...]) -> Select[Any]:
    return select(*_LOCKED, *also).where(_ROW).with_for_update(of=operations)


async def check_open(connection: AsyncConnection, locked: LockedOperation, context: OperationContext) -> None:
    """Raise the error that says why an attempt may not write, unless it may.

    Raises:
        CancelRequestedError: the operation was asked to stop.
        FinalError: the operation has ended.
        ApplicationError: the attempt has not seen a change of parameters; the next one will have.
    """
    if locked.is_cancelled and (cancel := await find_cancellation(connection, context)) is not None:
        raise CancelRequestedError(cancel)
    if locked.has_ended:
        raise FinalError("operation-closed", "the operation has ended, so nothing was written")
    if locked.parameters_version > context.parameters_version:
        details = FailureDetails(parameters_version=locked.parameters_version)
        raise ApplicationError("the parameters were changed meanwhile", details, type=PARAMETERS_CHANGED)


async def insert_operation(connection: AsyncConnection, context: OperationContext) -> bool:
    """Write the operation's row; True if it is new, so that the transaction must end with `request_event`.

    Raises `FinalError` if another operation of the tenant is open.
    """
    inserted = await connection.execute(INSERT_OPERATION, row_values(context))
    if inserted.rowcount:
        return True
    if await connection.scalar(select(operations.c.kind).where(_ROW), _key(context)) is None:
        raise FinalError("operation-in-progress", "another operation of this tenant has not ended", field="tenantId")
    return False


async def insert_closed(connection: AsyncConnection, context: OperationContext) -> bool:
    """Write the row of an operation that has ended as its snapshot says; True if it is new, as `insert_operation`."""
    ended = {**row_values(context), **shown_values(context.snapshot), "finished_at": context.snapshot.finished_at}
    return bool((await connection.execute(INSERT_OPERATION, ended)).rowcount)


def row_values(context: OperationContext) -> dict[str, Any]:
    """Return the values of a new row."""
    snapshot = context.snapshot
    return {
        "workflow_id": context.workflow_id,
        "run_id": context.run_id,
        "namespace": context.namespace,
        "kind": snapshot.kind,
        "tenant_id": snapshot.tenant_id,
        "tenant_name": snapshot.tenant_name,
        "product_code": snapshot.product_code,
        "parameters": snapshot.parameters,
        "status": OperationStatus.QUEUED,
        "steps": documents(snapshot.steps),
        "requested_by": snapshot.requested_by,
        "requested_via": snapshot.requested_via,
        "request_fingerprint": snapshot.request_fingerprint,
        "started_at": snapshot.started_at,
    }


def request_event(context: OperationContext) -> AuditEvent:
    """Return the audit event of an operation's request; its id is that of the start, so each start has one event."""
    start_id = context.origin.start_id
    return operation_event(
        Action(KINDS[context.snapshot.kind].request_action),
        context.origin,
        workflow_id=context.workflow_id,
        tenant_id=context.snapshot.tenant_id,
        event_id=UUID(start_id) if start_id is not None else None,
    )


async def refuse_used_start(connection: AsyncConnection, context: OperationContext) -> None:
    """Raise `FinalError` if another run used the same start, because its encrypted input was replayed.

    To be called by who has written the operation's row.
    """
    start_id = context.origin.start_id
    if start_id is None:
        return
    if await connection.scalar(select(audit_events.c.id).where(audit_events.c.id == UUID(start_id))) is not None:
        raise FinalError(START_USED, "another operation has come of this very start, so nothing was written")


def commit_script(context: OperationContext, committed: Committed) -> str:
    """Return the statement that notes the commit in the locked row; it fails if the operation was asked to stop.

    For the round trip of the commit, where nothing can be decided any more: a cancel that came first makes the status
    null, which the table refuses, so that nothing is committed.
    """
    statuses = {step.status for step in committed.steps}
    done = [step.name for step in committed.steps if step.status is StepStatus.COMPLETED]
    is_complete = StepStatus.PENDING not in statuses
    return _COMMIT.format(
        workflow=script_literal(context.workflow_id),
        run=script_literal(context.run_id),
        start=script_literal(context.origin.start_id or context.run_id),
        status=script_literal(OperationStatus.COMPLETED if is_complete else OperationStatus.RUNNING),
        step=script_literal(done[-1]),
        progress=KINDS[context.snapshot.kind].progress_after(done[-1]),
        steps=script_literal(to_json(documents(committed.steps))),
        result=script_literal(to_json(committed.result)),
        committed_at=script_literal(committed.committed_at.isoformat()),
        is_complete=str(is_complete).lower(),
    )


async def accept_changes(connection: AsyncConnection, context: OperationContext) -> None:
    """Let no attempt commit any more that has not seen the changed request; the same change again is accepted.

    Waits for an attempt that still runs. The operation's row must be there. A change that was accepted without its
    workflow hearing of it gives way to another one.

    Raises:
        CancelRequestedError: the operation was asked to stop.
        FinalError: the operation has been committed or has ended.
    """
    version = context.parameters_version
    snapshot = context.snapshot
    accepted = await connection.execute(
        update(operations)
        .where(_ROW, _OPEN, operations.c.parameters_version.in_((version, version + 1)), not_(_CANCELLATION.exists()))
        .values(
            parameters_version=version + 1,
            tenant_name=snapshot.tenant_name,
            product_code=snapshot.product_code,
            parameters=snapshot.parameters,
        ),
        _key(context),
    )
    if accepted.rowcount:
        return
    locked = await lock_operation(connection, context)
    if locked is not None and locked.committed is not None:
        raise FinalError(PARAMETER_USED, "the operation is committed; its parameters can't be changed any more")
    if locked is not None:
        await check_open(connection, locked, context)
    raise FinalError("operation-closed", "the operation has ended, so nothing was changed")


async def request_cancel(connection: AsyncConnection, workflow_id: str, run_id: str, request: CancelRequest) -> bool:
    """Let the operation commit no more; True for the first request, which counts.

    Waits for no running transaction. Instead of a run id the id of a start can be given whose run id is not known.
    """
    inserted = await connection.execute(
        postgres_insert(cancellations)
        .values(
            workflow_id=workflow_id,
            run_id=run_id,
            cancelled_by=request.cancelled_by,
            cancelled_via=request.cancelled_via,
            reason=request.reason,
        )
        .on_conflict_do_nothing()
    )
    return bool(inserted.rowcount)


async def revoke_start(connection: AsyncConnection, workflow_id: str, start_id: str, request: CancelRequest) -> None:
    """Prevent a workflow that may have started from committing; waits for a transaction that is about to commit."""
    await request_cancel(connection, workflow_id, start_id, request)
    await connection.execute(
        select(operations.c.run_id).where(operations.c.workflow_id == workflow_id).with_for_update()
    )


async def close_operation(connection: AsyncConnection, context: OperationContext) -> None:
    """Write how the operation ended, as its snapshot says, into its locked row."""
    snapshot = context.snapshot
    await connection.execute(
        update(operations)
        .where(_ROW, operations.c.finished_at.is_(None))
        .values(
            **shown_values(snapshot),
            tenant_id=func.coalesce(operations.c.tenant_id, snapshot.tenant_id),
            updated_at=func.now(),
            finished_at=func.now(),
        ),
        _key(context),
    )


def shown_values(snapshot: OperationSnapshot) -> dict[str, Any]:
    """Return the columns that say how the operation stands."""
    return {
        "status": snapshot.status,
        "step": snapshot.step,
        "progress": snapshot.progress,
        "steps": documents(snapshot.steps),
        "error": snapshot.error.model_dump(mode="json") if snapshot.error else None,
        "warnings": documents(snapshot.warnings),
        "cancelled_by": snapshot.cancelled_by,
        "cancelled_via": snapshot.cancelled_via,
        "cancel_reason": snapshot.cancel_reason,
        "next_try_at": snapshot.next_try_at,
        "attention_deadline": snapshot.attention_deadline,
    }


async def find_cancellation(connection: AsyncConnection, context: OperationContext) -> CancelRequest | None:
    """Return the request to stop that the operation must heed, or None."""
    asked = (await connection.execute(_CANCELLATION, _key(context))).one_or_none()
    if asked is None:
        return None
    return CancelRequest(reason=asked.reason, cancelled_by=asked.cancelled_by, cancelled_via=asked.cancelled_via)


def documents(messages: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Return messages as the row holds them."""
    return [message.model_dump(mode="json") for message in messages]


def _key(context: OperationContext) -> dict[str, str]:
    return {
        "workflow": context.workflow_id,
        "run": context.run_id,
        "start": context.origin.start_id or context.run_id,
    }
