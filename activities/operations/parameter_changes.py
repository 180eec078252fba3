"""The activity that accepts changed parameters before an operation's commit."""

from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.audit.events import Action, AuditEvent
from activities.audit.trail import AuditTrail
from activities.errors import local_only, temporal_errors
from activities.operations.audit_events import operation_event
from activities.operations.rows import OperationRow
from workflows.operations.kinds import PARAMETER_CHANGE_ACTIVITY
from workflows.operations.messages import ParameterChangeInput, StepDone

# Namespace of the ids of the audit events of changes.
CHANGES = UUID("0f3a8a55-2a0e-4a0e-9d0e-5f8a1b7c2d11")


class ParameterChangeActivities:
    """An activity because only the database knows what is committed: a workflow may miss the result of a commit."""

    def __init__(self, engine: AsyncEngine, audit: AuditTrail) -> None:
        self._engine = engine
        self._audit = audit

    @activity.defn(name=PARAMETER_CHANGE_ACTIVITY)
    @local_only
    @temporal_errors
    async def accept_parameter_changes(self, change: ParameterChangeInput) -> StepDone:
        """Let no attempt commit that missed the change; a second run changes nothing.

        Writes the operation's row and audit events only. Raises `ApplicationError`: `parameter-used` if the operation
        is committed, `cancel-requested` and `operation-closed` if it is stopping.
        """
        async with self._engine.begin() as connection:
            row = OperationRow(connection, change.operation)
            await row.ensure()
            await row.refuse_used_start()
            await row.change_parameters()
            changed = await self._audit.unrecorded(connection, [_change_event(change)])
            await self._audit.append(connection, *row.request_events, *changed)
        return StepDone()


def _change_event(change: ParameterChangeInput) -> AuditEvent:
    context = change.operation
    # A change whose response was lost is accepted again with the same id; other values of the same parameters are
    # another change.
    event_id = uuid5(CHANGES, f"{context.run_id} {context.parameters_version} {change.digest}")
    details = {"changed": sorted(change.changed)}
    return operation_event(Action.OPERATION_CHANGE, context, change.origin, event_id=event_id, details=details)
