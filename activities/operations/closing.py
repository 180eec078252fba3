"""The activities that close an operation, of every kind."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.audit.trail import AuditTrail
from activities.errors import temporal_errors
from activities.operations.local_only import local_only
from activities.operations.rows import OperationRow
from workflows.operations.kinds import CLOSE_ACTIVITY, COMPLETE_ACTIVITY
from workflows.operations.messages import Closure, OperationInput, StepDone


class ClosingActivities:
    """Close operations; write our own tables only."""

    def __init__(self, engine: AsyncEngine, audit: AuditTrail) -> None:
        self._engine = engine
        self._audit = audit

    @activity.defn(name=CLOSE_ACTIVITY)
    @local_only
    @temporal_errors
    async def close_operation(self, closing: OperationInput) -> Closure:
        """Close the operation as failed or cancelled, as its snapshot says, so that no attempt commits any more.

        Waits for a running attempt. Writes nothing if that has committed, or if the operation was closed before, and
        returns what the row says.
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
            await row.close(context.snapshot)
            await self._audit.append_once(connection, row.request_events)
        return Closure()

    @activity.defn(name=COMPLETE_ACTIVITY)
    @local_only
    @temporal_errors
    async def complete_operation(self, completing: OperationInput) -> StepDone:
        """Close a committed operation as completed, with its steps and warnings; a second run changes nothing."""
        context = completing.operation
        async with self._engine.begin() as connection:
            await OperationRow(connection, context).close(context.snapshot.completed(datetime.now(UTC)))
        return StepDone()
