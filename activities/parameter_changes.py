"""Lets the parameters of an operation be changed that no step has used yet."""

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.errors import temporal_errors
from activities.operations import accept_changes, record_operation
from workflows.messages import ParameterChangeInput, StepDone
from workflows.steps import PARAMETER_CHANGE_ACTIVITY


class ParameterChangeActivities:
    """An activity because only the database knows what has been used: a step's commit may have gone unheard."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @activity.defn(name=PARAMETER_CHANGE_ACTIVITY)
    @temporal_errors
    async def accept_parameter_changes(self, change: ParameterChangeInput) -> StepDone:
        """Shut out every step that has not seen the change; a second run changes nothing.

        Writes the operation's row only. Raises `ApplicationError`: `parameter-used` where a step that uses a change
        has been committed, `cancel-requested` and `operation-closed` where the operation is stopping.
        """
        async with self._engine.begin() as connection:
            await record_operation(connection, change.operation, change.request)
            await accept_changes(connection, change.operation, change.request, change.first_used_in)
        return StepDone()
