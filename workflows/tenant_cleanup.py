"""The workflow that removes what an operation left that was ended from outside."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.lifecycle import Lifecycle
    from workflows.messages import CleanupInput, OperationResult, OperationStatus
    from workflows.steps import TENANT_CLEANUP_WORKFLOW


@workflow.defn(name=TENANT_CLEANUP_WORKFLOW)
class TenantCleanupWorkflow:
    """Goes on under the workflow id of the operation, so that its status stays where callers look for it."""

    @workflow.init
    def __init__(self, cleanup: CleanupInput) -> None:
        self._operation = Lifecycle(cleanup.operation.kind, ())
        self._operation.progress.adopt(
            cleanup.operation.model_copy(
                update={
                    "cancelled_by": cleanup.cancel.cancelled_by,
                    "cancelled_via": cleanup.cancel.cancelled_via,
                    "cancel_reason": cleanup.cancel.reason,
                }
            ),
            cleanup.run_id,
        )

    @workflow.run
    async def run(self, cleanup: CleanupInput) -> OperationResult:  # noqa: ARG002 - read by __init__
        """Roll back, and end as cancelled; returns a result where the tenant turns out to be complete."""
        operation = self._operation
        if operation.progress.snapshot.tenant_id is None:
            # The first step writes the tenant id before all else, so there is nothing.
            operation.progress.end(OperationStatus.CANCELLED, None)
            raise operation.ending()
        completed = await operation.finish_uninterrupted(operation.roll_back(None))
        if completed is None:
            raise operation.ending()
        return completed
