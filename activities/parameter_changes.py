"""Lets the parameters of an operation be changed that no step has used yet."""

from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.audit import AuditTrail
from activities.audit_events import Action
from activities.errors import temporal_errors
from activities.operation_events import operation_event
from activities.operations import accept_changes, record_operation
from workflows.messages import ParameterChangeInput, StepDone
from workflows.steps import PARAMETER_CHANGE_ACTIVITY

CHANGES = UUID("0f3a8a55-2a0e-4a0e-9d0e-5f8a1b7c2d11")
"""Namespace of the ids of the audit events of changes."""


class ParameterChangeActivities:
    """An activity because only the database knows what has been used: a step's commit may have gone unheard."""

    def __init__(self, engine: AsyncEngine, audit: AuditTrail) -> None:
        self._engine = engine
        self._audit = audit

    @activity.defn(name=PARAMETER_CHANGE_ACTIVITY)
    @temporal_errors
    async def accept_parameter_changes(self, change: ParameterChangeInput) -> StepDone:
        """Shut out every step that has not seen the change; a second run changes nothing.

        Writes the operation's row and an audit event only. Raises `ApplicationError`: `parameter-used` where a step
        that uses a change has been committed, `cancel-requested` and `operation-closed` where the operation is
        stopping.
        """
        async with self._engine.begin() as connection:
            await record_operation(connection, change.operation, change.request, self._audit)
            await accept_changes(connection, change.operation, change.request, change.first_used_in)
            await self._tell(connection, change)
        return StepDone()

    async def _tell(self, connection: AsyncConnection, change: ParameterChangeInput) -> None:
        operation = change.operation
        # The same for the same change, which may be accepted twice where nobody heard of the first time.
        event_id = uuid5(CHANGES, f"{operation.run_id} {operation.parameters_version} {sorted(change.changed)}")
        if await self._audit.knows(connection, event_id):
            return
        await self._audit.append(
            connection,
            operation_event(
                Action.OPERATION_CHANGE,
                change.origin,
                workflow_id=operation.workflow_id,
                tenant_id=operation.tenant_id,
                details={"changed": sorted(change.changed)},
                event_id=event_id,
            ),
        )
