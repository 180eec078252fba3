"""Lets the parameters of an operation be changed before its commit."""

from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.audit.events import Action, AuditEvent
from activities.audit.trail import AuditTrail
from activities.errors import temporal_errors
from activities.operations.audit_events import operation_event
from activities.operations.local_only import local_only
from activities.operations.rows import accept_changes, insert_operation, refuse_used_start, request_event
from workflows.operations.kinds import PARAMETER_CHANGE_ACTIVITY
from workflows.operations.messages import ParameterChangeInput, StepDone

CHANGES = UUID("0f3a8a55-2a0e-4a0e-9d0e-5f8a1b7c2d11")
"""Namespace of the ids of the audit events of changes."""


class ParameterChangeActivities:
    """An activity because only the database knows what is committed: a commit may have gone unheard."""

    def __init__(self, engine: AsyncEngine, audit: AuditTrail) -> None:
        self._engine = engine
        self._audit = audit

    @activity.defn(name=PARAMETER_CHANGE_ACTIVITY)
    @local_only
    @temporal_errors
    async def accept_parameter_changes(self, change: ParameterChangeInput) -> StepDone:
        """Shut out every attempt that has not seen the change; a second run changes nothing.

        Writes the operation's row and an audit event only. Raises `ApplicationError`: `parameter-used` if the
        operation is committed, `cancel-requested` and `operation-closed` if it is stopping.
        """
        async with self._engine.begin() as connection:
            is_new = await insert_operation(connection, change.operation)
            if is_new:
                await refuse_used_start(connection, change.operation)
            await accept_changes(connection, change.operation)
            created = [request_event(change.operation)] if is_new else []
            changed = await self._audit.unknown(connection, [_change_event(change)])
            await self._audit.append_all(connection, [*created, *changed])
        return StepDone()


def _change_event(change: ParameterChangeInput) -> AuditEvent:
    operation = change.operation
    # A change is accepted twice if its first response was lost; the id makes both one event. Other values for the
    # same parameters are another change.
    return operation_event(
        Action.OPERATION_CHANGE,
        change.origin,
        workflow_id=operation.workflow_id,
        tenant_id=operation.snapshot.tenant_id,
        details={"changed": sorted(change.changed)},
        event_id=uuid5(CHANGES, f"{operation.run_id} {operation.parameters_version} {change.digest}"),
    )
