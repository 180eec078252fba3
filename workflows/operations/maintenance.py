"""The workflow that a Temporal Schedule starts to maintain our own tables."""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from workflows.operations.kinds import SINGLE_ATTEMPT

MAINTENANCE_WORKFLOW = "algaTenantsMaintenanceWorkflow"
RECONCILE_ACTIVITY = "reconcile_operations"
PRUNE_ACTIVITY = "prune_own_tables"
REMOVE_ARCHIVES_ACTIVITY = "remove_archives"

# The next run of the schedule is the next attempt.
ACTIVITY_TIMEOUT = timedelta(minutes=30)
HEARTBEAT_TIMEOUT = timedelta(seconds=30)


@workflow.defn(name=MAINTENANCE_WORKFLOW)
class MaintenanceWorkflow:
    """One round of maintenance."""

    @workflow.run
    async def run(self, argument: Any = None) -> None:  # noqa: ARG002 - an argument is accepted
        """Reconcile, prune and remove archives; if one fails, the others run before the workflow fails."""
        failure: ActivityError | None = None
        for activity in (RECONCILE_ACTIVITY, PRUNE_ACTIVITY, REMOVE_ARCHIVES_ACTIVITY):
            try:
                await workflow.execute_activity(
                    activity,
                    start_to_close_timeout=ACTIVITY_TIMEOUT,
                    heartbeat_timeout=HEARTBEAT_TIMEOUT,
                    retry_policy=SINGLE_ATTEMPT,
                )
            except ActivityError as error:
                failure = error
        if failure is not None:
            raise failure
