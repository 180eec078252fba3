"""The activities that close an operation: with nothing committed, or once all that followed the commit is done."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.audit.trail import AuditTrail
from activities.errors import temporal_errors
from activities.operations.local_only import local_only
from activities.operations.records import find_run
from activities.operations.rows import close_operation, insert_closed, lock_operation, request_event
from workflows.operations.kinds import CLOSE_ACTIVITY, COMPLETE_ACTIVITY
from workflows.operations.messages import Closure, OperationInput, StepDone


class ClosingActivities:
    """Writes our own tables only; serves every kind of operation."""

    def __init__(self, engine: AsyncEngine, audit: AuditTrail) -> None:
        self._engine = engine
        self._audit = audit

    @activity.defn(name=CLOSE_ACTIVITY)
    @local_only
    @temporal_errors
    async def close_operation(self, closing: OperationInput) -> Closure:
        """Close the operation as failed or cancelled, as its snapshot says, so that no attempt commits any more.

        Waits for an attempt that still runs. If that has committed, or if the operation was closed before, nothing is
        written, and what the row says is returned.
        """
        context = closing.operation
        async with self._engine.begin() as connection:
            locked = await lock_operation(connection, context)
            if locked is not None and locked.committed is not None:
                return Closure(committed=locked.committed)
            if locked is not None and locked.has_ended:
                record = await find_run(connection, context.workflow_id, context.run_id)
                return Closure(ended=record.snapshot if record is not None else None)
            is_new = locked is None and await insert_closed(connection, context)
            await close_operation(connection, context)
            await self._audit.append_once(connection, [request_event(context)] if is_new else [])
        return Closure()

    @activity.defn(name=COMPLETE_ACTIVITY)
    @local_only
    @temporal_errors
    async def complete_operation(self, completing: OperationInput) -> StepDone:
        """Close a committed operation as completed, with its steps and warnings; a second run changes nothing."""
        snapshot = completing.operation.snapshot.completed(datetime.now(UTC))
        async with self._engine.begin() as connection:
            await close_operation(connection, completing.operation.model_copy(update={"snapshot": snapshot}))
        return StepDone()
