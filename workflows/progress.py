"""What the outside sees of one operation, kept in the workflow's memo."""

from collections.abc import Sequence
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.messages import (
        OPERATION_MEMO,
        OperationContext,
        OperationError,
        OperationResult,
        OperationSnapshot,
        OperationStatus,
        StepProgress,
        StepStatus,
        TenantCreationInput,
        WorkflowState,
    )
    from workflows.steps import PROGRESS_AFTER, Step

# Alga's client knows no step for the bookkeeping at the end, and two words for how an operation ended.
WIRE_NAMES: dict[Step | None, str] = {
    **{step: step.value for step in Step},
    Step.COMPLETING: "setting_up_data",
}
WIRE_STEPS = {
    OperationStatus.COMPLETED: "completed",
    OperationStatus.FAILED: "failed",
    OperationStatus.CANCELLED: "failed",
}


class Progress:
    """One operation's snapshot: the only place that changes and publishes it."""

    def __init__(self, kind: str, steps: Sequence[Step]) -> None:
        info = workflow.info()
        self.snapshot = OperationSnapshot(
            kind=kind,
            steps=tuple(StepProgress(name=step) for step in steps),
            started_at=info.start_time,
        )
        self.parameters_version = 0
        self._run_id = info.first_execution_run_id

    @property
    def is_ending(self) -> bool:
        """Whether it is too late for anything but the end that it is heading for."""
        return self.snapshot.status is OperationStatus.ROLLING_BACK or self.snapshot.status.is_final

    @property
    def is_stopping(self) -> bool:
        """Whether no further step will begin."""
        return self.is_ending or self.snapshot.status is OperationStatus.CANCELLING

    @property
    def completed_steps(self) -> set[Step]:
        """The steps that are known to be done."""
        return {step.name for step in self.snapshot.steps if step.status is StepStatus.COMPLETED}

    def accept(self, request: TenantCreationInput) -> None:
        """Take over what the request says about itself."""
        self._change(
            tenant_id=request.tenant_id,
            requested_by=request.origin.requested_by,
            requested_via=request.origin.requested_via,
            request_fingerprint=request.origin.request_fingerprint,
            started_at=request.origin.requested_at or self.snapshot.started_at,
        )

    def adopt(self, operation: OperationSnapshot, run_id: str) -> None:
        """Go on where another workflow left the operation, whose row is the one of that first run."""
        self.snapshot = operation
        self._run_id = run_id

    def see_parameters(self, version: int | None) -> None:
        """Go on from a version of the parameters that the row has and nobody was told of: it was given up."""
        self.parameters_version = max(self.parameters_version, version or 0)

    def start_step(self, step: Step, attempt: int) -> None:
        """A step begins, for the first time or again."""
        started = {"started_at": workflow.now()} if attempt == 1 else {}
        self._change(step=step)
        self.set_step(step, status=StepStatus.RUNNING, attempts=attempt, **started)
        self.publish(status=OperationStatus.RUNNING)

    def finish_step(self, step: Step) -> None:
        """A step has done its work."""
        self.set_step(step, status=StepStatus.COMPLETED, finished_at=workflow.now())
        self._change(progress=PROGRESS_AFTER[step], error=None)

    def set_step(self, name: Step, **changes: Any) -> None:
        """Change one step's line; seen with the next thing that is published."""
        self._change(
            steps=tuple(
                step.model_copy(update=changes) if step.name is name else step for step in self.snapshot.steps
            )
        )

    def complete(self, result: OperationResult) -> None:
        """End the operation as completed."""
        done = {"status": StepStatus.COMPLETED}
        self.publish(
            status=OperationStatus.COMPLETED,
            step=self.snapshot.steps[-1].name,
            steps=tuple(step.model_copy(update=done) for step in self.snapshot.steps),
            progress=100,
            result=result,
            error=None,
            cancelled_by=None,
            cancelled_via=None,
            cancel_reason=None,
            finished_at=workflow.now(),
        )

    def end(self, status: OperationStatus, error: OperationError | None) -> None:
        """End the operation with nothing of it left."""
        self.publish(status=status, error=error, finished_at=workflow.now())

    def publish(self, **changes: Any) -> None:
        """Change the snapshot and show it; what the operation waits for is gone unless it is among the changes."""
        self._change(**{"next_try_at": None, "attention_deadline": None, **changes})
        workflow.upsert_memo({OPERATION_MEMO: self.snapshot})

    def context(self) -> OperationContext:
        """What activities are told about this operation."""
        info = workflow.info()
        snapshot = self.snapshot
        if snapshot.tenant_id is None or snapshot.started_at is None:
            raise RuntimeError("an activity is started before the request was accepted")
        return OperationContext(
            workflow_id=info.workflow_id,
            run_id=self._run_id,
            namespace=info.namespace,
            parameters_version=self.parameters_version,
            tenant_id=snapshot.tenant_id,
            kind=snapshot.kind,
            step=snapshot.step or snapshot.steps[0].name,
            progress=snapshot.progress,
            steps=snapshot.steps,
            started_at=snapshot.started_at,
        )

    def wire_state(self) -> WorkflowState:
        """The snapshot in the words of Alga's client."""
        snapshot = self.snapshot
        result = snapshot.result
        return WorkflowState(
            step=WIRE_STEPS.get(snapshot.status) or WIRE_NAMES.get(snapshot.step) or Step.INITIALIZING,
            progress=snapshot.progress,
            tenant_id=snapshot.tenant_id,
            admin_user_id=result.admin_user_id if result else None,
            client_id=result.client_id if result else None,
            email_sent=False if result else None,
            error=snapshot.error.detail if snapshot.error else snapshot.cancel_reason,
        )

    def _change(self, **changes: Any) -> None:
        self.snapshot = self.snapshot.model_copy(update={**changes, "updated_at": workflow.now()})
