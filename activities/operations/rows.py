"""The `operations` table: one row for each workflow run, whose lock decides how the operation goes on.

A transaction that commits for an operation locks the row first and goes on only while the operation is open. Closing
or changing the operation takes the same lock. So an attempt that was given up on, but whose process still runs,
can't commit behind the back of what came after it.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, and_, bindparam, func, not_, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.exceptions import ApplicationError

from activities.alga.bulk_insert import to_json
from activities.audit.events import AuditEvent
from activities.database.own_tables import audit_events, cancellations, operations
from activities.database.transactions import Statement
from activities.errors import CancelRequestedError, FinalError
from activities.operations.audit_events import request_event
from activities.operations.queries import OperationRecord, find_run
from workflows.operations.failures import (
    OPERATION_CLOSED,
    OPERATION_IN_PROGRESS,
    PARAMETER_USED,
    PARAMETERS_CHANGED,
    START_USED,
)
from workflows.operations.kinds import KINDS
from workflows.operations.messages import (
    Cancellation,
    Committed,
    FailureDetails,
    OperationContext,
    OperationSnapshot,
)
from workflows.operations.statuses import OperationStatus, StepStatus

# Built once, because building a statement takes as long as running it.
_INSERT = postgres_insert(operations).on_conflict_do_nothing()
_WORKFLOW = bindparam("workflow", type_=Text)
_RUN = bindparam("run", type_=Text)
_START = bindparam("start", type_=Text)
_ROW = and_(operations.c.workflow_id == _WORKFLOW, operations.c.run_id == _RUN)
_CANCELLATION: Select[Any] = (
    select(cancellations)
    .where(
        cancellations.c.workflow_id == _WORKFLOW,
        or_(cancellations.c.run_id == _RUN, cancellations.c.run_id == _START),
    )
    .limit(1)
)
_COMMIT = text("""
    UPDATE alga_tenants.operations SET
        status = CASE WHEN :is_cancellable AND EXISTS (
            SELECT FROM alga_tenants.cancellations WHERE workflow_id = :workflow AND run_id IN (:run, :start)
        ) THEN NULL ELSE :status END,
        step = :step, progress = :progress, steps = CAST(:steps AS jsonb), result = CAST(:result AS jsonb),
        warnings = CAST(:warnings AS jsonb),
        error = NULL, next_try_at = NULL, attention_deadline = NULL, updated_at = now(),
        committed_at = CAST(:committed_at AS timestamptz),
        finished_at = CASE WHEN :is_complete THEN CAST(:committed_at AS timestamptz) END
    WHERE workflow_id = :workflow AND run_id = :run
""")
_LOCKED = (
    operations.c.steps,
    operations.c.result,
    operations.c.warnings,
    operations.c.committed_at,
    operations.c.finished_at,
    operations.c.parameters_version,
    _CANCELLATION.exists().label("is_cancelled"),
)
# The fields of a snapshot that a change of parameters, a request, and everything else change.
_PARAMETERS = ("tenant_name", "product_code", "parameters")
_REQUESTED = (*_PARAMETERS, "kind", "tenant_id", "requested_by", "requested_via", "request_fingerprint", "started_at")
_SHOWN = (
    "status",
    "step",
    "progress",
    "cancelled_by",
    "cancelled_via",
    "cancel_reason",
    "next_try_at",
    "attention_deadline",
)


@dataclass(frozen=True)
class LockedOperation:
    """The state of a locked row; `also` are the values of further expressions."""

    committed: Committed | None
    has_ended: bool
    is_cancelled: bool
    parameters_version: int
    also: tuple[Any, ...] = ()


class OperationRow:
    """The row of one operation within a transaction."""

    def __init__(self, connection: AsyncConnection, context: OperationContext) -> None:
        self._connection = connection
        self._context = context
        self._key = {
            "workflow": context.workflow_id,
            "run": context.run_id,
            "start": context.origin.start_id or context.run_id,
        }
        self._is_new = False

    @property
    def request_events(self) -> list[AuditEvent]:
        """The audit event of the request if this transaction has inserted the row, which it must then record."""
        return [request_event(self._context)] if self._is_new else []

    async def load(self) -> OperationRecord | None:
        """Return the row, or None if there is none."""
        return await find_run(self._connection, self._context.workflow_id, self._context.run_id)

    async def insert(self, *, has_ended: bool = False) -> bool:
        """Insert the row, as queued or as its snapshot has ended.

        Returns False if there is one, or if another operation of the tenant is open.
        """
        context, snapshot = self._context, self._context.snapshot
        values = {
            **{name: getattr(snapshot, name) for name in _REQUESTED},
            "workflow_id": context.workflow_id,
            "run_id": context.run_id,
            "namespace": context.namespace,
            "status": OperationStatus.QUEUED,
            **snapshot.model_dump(mode="json", include={"steps"}),
        }
        if has_ended:
            values |= {**shown_values(snapshot), "finished_at": snapshot.finished_at}
        self._is_new = bool((await self._connection.execute(_INSERT, values)).rowcount)
        return self._is_new

    async def ensure(self) -> bool:
        """Insert the row if there is none, and return whether it is new.

        Raises `FinalError` if another operation of the tenant is open.
        """
        query = select(operations.c.kind).where(_ROW)
        if not await self.insert() and await self._connection.scalar(query, self._key) is None:
            detail = "another operation of this tenant has not ended"
            raise FinalError(OPERATION_IN_PROGRESS, detail, field="tenantId")
        return self._is_new

    async def refuse_used_start(self) -> None:
        """Raise `FinalError` if the row is new and another run used the same start: its input was replayed."""
        start_id = self._context.origin.start_id
        if start_id is None or not self._is_new:
            return
        used = select(audit_events.c.id).where(audit_events.c.id == UUID(start_id))
        if await self._connection.scalar(used) is not None:
            raise FinalError(START_USED, "another operation used this start, so nothing was written")

    async def lock(self, *also: ColumnElement[Any], **values: Any) -> LockedOperation | None:
        """Lock the row, or return None if there is none.

        The expressions of `also`, with their values, are evaluated in the same round trip.
        """
        result = await self._connection.execute(_lock_statement(also), {**self._key, **values})
        row = result.one_or_none()
        if row is None:
            return None
        committed = None
        if row.committed_at is not None:
            committed = Committed.model_validate(
                {name: getattr(row, name) for name in ("committed_at", "steps", "result", "warnings")}
            )
        return LockedOperation(
            committed=committed,
            has_ended=row.finished_at is not None,
            is_cancelled=row.is_cancelled,
            parameters_version=row.parameters_version,
            also=tuple(row)[len(_LOCKED) :],
        )

    async def ensure_locked(self, *also: ColumnElement[Any], **values: Any) -> LockedOperation:
        """Lock the row as `lock`, and insert it first if there is none.

        The gateway has inserted it unless a client of Temporal started the workflow. Raises `FinalError` if another
        operation of the tenant is open, or another run used the same start.
        """
        if (locked := await self.lock(*also, **values)) is None:
            await self.ensure()
            await self.refuse_used_start()
            locked = await self.lock(*also, **values)
        if locked is None:
            raise FinalError(OPERATION_CLOSED, "the operation's row has vanished, so nothing was written")
        return locked

    async def check_open(self, locked: LockedOperation) -> None:
        """Raise the error that explains why the attempt is not allowed to write, if it is not.

        Raises `CancelRequestedError`, `FinalError` if the operation has ended, or `ApplicationError` if the attempt
        missed a change of parameters.
        """
        if locked.is_cancelled and (cancel := await self.find_cancellation()) is not None:
            raise CancelRequestedError(cancel)
        if locked.has_ended:
            raise FinalError(OPERATION_CLOSED, "the operation has ended, so nothing was written")
        if locked.parameters_version > self._context.parameters_version:
            details = FailureDetails(parameters_version=locked.parameters_version)
            raise ApplicationError("the parameters were changed meanwhile", details, type=PARAMETERS_CHANGED)

    async def find_cancellation(self) -> Cancellation | None:
        """Return the cancellation that applies to the operation, or None."""
        found = (await self._connection.execute(_CANCELLATION, self._key)).one_or_none()
        if found is None:
            return None
        return Cancellation(by=found.cancelled_by, via=found.cancelled_via, reason=found.reason)

    def commit_statement(self, committed: Committed, *, is_cancellable: bool = True) -> Statement:
        """Return the statement that records the commit in the locked row; it fails if the operation was cancelled.

        Unless `is_cancellable`: then what it did can't be undone, and a cancel came too late.

        It runs in the round trip of the commit, which can't branch: a cancellation sets the status to null, which the
        table rejects, so that nothing is committed.
        """
        done = [step.name for step in committed.steps if step.status is StepStatus.COMPLETED]
        is_complete = all(step.is_done for step in committed.steps)
        warnings = dict.fromkeys((*self._context.snapshot.warnings, *committed.warnings))
        documents = committed.model_copy(update={"warnings": tuple(warnings)}).model_dump(mode="json")
        values = {
            **self._key,
            "status": OperationStatus.COMPLETED if is_complete else OperationStatus.RUNNING,
            "step": done[-1],
            "progress": KINDS[self._context.snapshot.kind].progress_after(done[-1]),
            "steps": to_json(documents["steps"]),
            "result": to_json(documents["result"]),
            "warnings": to_json(documents["warnings"]),
            "committed_at": committed.committed_at,
            "is_complete": is_complete,
            "is_cancellable": is_cancellable,
        }
        return Statement(_COMMIT, values)

    async def change_parameters(self) -> None:
        """Show the changed parameters, and let no attempt commit that missed the change.

        Waits for a running attempt. The row must exist. The same change can be made again; a change whose result was
        lost is replaced by the next one. Raises `CancelRequestedError`, or `FinalError` if the operation is committed
        or has ended.
        """
        version, snapshot = self._context.parameters_version, self._context.snapshot
        is_open = and_(operations.c.finished_at.is_(None), operations.c.committed_at.is_(None))
        is_next = operations.c.parameters_version.in_((version, version + 1))
        changed = await self._connection.execute(
            update(operations)
            .where(_ROW, is_open, is_next, not_(_CANCELLATION.exists()))
            .values(parameters_version=version + 1, **{name: getattr(snapshot, name) for name in _PARAMETERS}),
            self._key,
        )
        if changed.rowcount:
            return
        locked = await self.lock()
        if locked is not None and locked.committed is not None:
            raise FinalError(PARAMETER_USED, "the operation is committed; its parameters can't be changed any more")
        if locked is not None:
            await self.check_open(locked)
        raise FinalError(OPERATION_CLOSED, "the operation has ended, so nothing was changed")

    async def show(self, snapshot: OperationSnapshot, *, read_at: datetime | None) -> bool:
        """Show the snapshot of an open operation; False if the row was changed after `read_at`, or is locked."""
        free = select(operations.c.run_id).where(_ROW, operations.c.updated_at == read_at)
        if await self._connection.scalar(free.with_for_update(skip_locked=True), self._key) is None:
            return False
        return await self._update(snapshot)

    async def close(self, snapshot: OperationSnapshot) -> None:
        """Write how the operation ended, unless the row says so already."""
        await self._update(snapshot, finished_at=func.now())

    async def complete(self, snapshot: OperationSnapshot) -> None:
        """Close the row of a committed operation, or only add warnings if the commit has closed it."""
        result = {"result": snapshot.result} if snapshot.result else {}
        if await self._update(snapshot, finished_at=func.now(), **result):
            return
        warnings = snapshot.model_dump(mode="json", include={"warnings"})["warnings"]
        lacks_warnings = (_ROW, operations.c.committed_at.is_not(None), operations.c.warnings != warnings)
        added = update(operations).where(*lacks_warnings).values(warnings=warnings, updated_at=func.now())
        await self._connection.execute(added, self._key)

    async def _update(self, snapshot: OperationSnapshot, **values: Any) -> bool:
        changed = await self._connection.execute(
            update(operations)
            .where(_ROW, operations.c.finished_at.is_(None))
            .values(
                **shown_values(snapshot),
                tenant_id=func.coalesce(operations.c.tenant_id, snapshot.tenant_id),
                updated_at=func.now(),
                **values,
            ),
            self._key,
        )
        return changed.rowcount == 1


async def request_cancel(
    connection: AsyncConnection, workflow_id: str, run_id: str, cancellation: Cancellation
) -> bool:
    """Prevent the operation from committing; True for the first cancellation, which counts.

    Waits for no running transaction. A start id can stand for an unknown run id.
    """
    inserted = await connection.execute(
        postgres_insert(cancellations)
        .values(
            workflow_id=workflow_id,
            run_id=run_id,
            cancelled_by=cancellation.by,
            cancelled_via=cancellation.via,
            reason=cancellation.reason,
        )
        .on_conflict_do_nothing()
    )
    return bool(inserted.rowcount)


async def revoke_start(
    connection: AsyncConnection, workflow_id: str, start_id: str, cancellation: Cancellation
) -> None:
    """Prevent a workflow that may have started from committing; waits for a transaction that is about to commit."""
    await request_cancel(connection, workflow_id, start_id, cancellation)
    await connection.execute(
        select(operations.c.run_id).where(operations.c.workflow_id == workflow_id).with_for_update()
    )


def shown_values(snapshot: OperationSnapshot) -> dict[str, Any]:
    """Return the values of the columns that show the state of the operation."""
    values = {name: getattr(snapshot, name) for name in _SHOWN}
    return {**values, **snapshot.model_dump(mode="json", include={"steps", "error", "warnings"})}


@cache
def _lock_statement(also: tuple[ColumnElement[Any], ...]) -> Select[Any]:
    return select(*_LOCKED, *also).where(_ROW).with_for_update(of=operations)
