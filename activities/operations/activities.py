"""The activities that serve operations of every kind; they write our own tables only."""

from datetime import UTC, datetime
from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.audit.events import Action, AuditEvent
from activities.audit.trail import AuditTrail
from activities.errors import local_only, temporal_errors
from activities.operations.audit_events import operation_event
from activities.operations.closing import lock_for_closing
from activities.operations.rows import OperationRow
from workflows.operations.kinds import (
    CLOSE_ACTIVITY,
    COMPLETE_ACTIVITY,
    FAILURE_POLICY_ACTIVITY,
    PARAMETER_CHANGE_ACTIVITY,
)
from workflows.operations.messages import Closure, FailurePolicy, OperationInput, ParameterChangeInput, StepDone

# Namespace of the ids of the audit events of changes.
CHANGES = UUID("0f3a8a55-2a0e-4a0e-9d0e-5f8a1b7c2d11")


class OperationActivities:
    """Accept changes of operations, and close operations."""

    def __init__(self, engine: AsyncEngine, audit: AuditTrail, failure_policy: FailurePolicy) -> None:
        self._engine = engine
        self._audit = audit
        self._failure_policy = failure_policy

    @activity.defn(name=FAILURE_POLICY_ACTIVITY)
    async def read_failure_policy(self) -> FailurePolicy:
        """Return the current policy; an activity, so that a replay uses the policy of its time."""
        return self._failure_policy

    @activity.defn(name=PARAMETER_CHANGE_ACTIVITY)
    @local_only
    @temporal_errors
    async def accept_parameter_changes(self, change: ParameterChangeInput) -> StepDone:
        """Let no attempt commit that missed the change; a second run changes nothing.

        Raises `ApplicationError`: `parameter-used` if the operation is committed, `cancel-requested` or
        `operation-closed` if it is stopping.
        """
        async with self._engine.begin() as connection:
            row = OperationRow(connection, change.operation)
            await row.ensure()
            await row.refuse_used_start()
            await row.change_parameters()
            await self._audit.append_once(connection, [*row.request_events, _change_event(change)])
        return StepDone()

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
            if (closure := await lock_for_closing(row)) is not None:
                return closure
            await row.close(context.snapshot)
            await self._audit.append_once(connection, row.request_events)
        return Closure()

    @activity.defn(name=COMPLETE_ACTIVITY)
    @local_only
    @temporal_errors
    async def complete_operation(self, completing: OperationInput) -> StepDone:
        """Close a committed operation as completed, with its steps and warnings; a second run changes nothing.

        One that is closed gets the warnings that came since.
        """
        context = completing.operation
        async with self._engine.begin() as connection:
            await OperationRow(connection, context).complete(context.snapshot.completed(datetime.now(UTC)))
        return StepDone()


def _change_event(change: ParameterChangeInput) -> AuditEvent:
    context = change.operation
    # A change whose response was lost is accepted again with the same id; other values of the same parameters are
    # another change.
    event_id = uuid5(CHANGES, f"{context.run_id} {context.parameters_version} {change.digest}")
    details = {"changed": sorted(change.changed)}
    return operation_event(Action.OPERATION_CHANGE, context, change.origin, event_id=event_id, details=details)
