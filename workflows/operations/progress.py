"""What the outside sees of one operation, kept in the workflow's memo."""

from collections.abc import Callable
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.operations.kinds import OperationKind
    from workflows.operations.messages import (
        NOT_CANCELLED,
        OPERATION_MEMO,
        Committed,
        OperationContext,
        OperationError,
        OperationRequest,
        OperationSnapshot,
        OperationWarning,
        Origin,
        StepProgress,
        WorkflowState,
    )
    from workflows.operations.statuses import OperationStatus, StepStatus

# How Alga's client calls the ends of an operation, which it takes for steps.
WIRE_ENDS = {
    OperationStatus.COMPLETED: "completed",
    OperationStatus.FAILED: "failed",
    OperationStatus.CANCELLED: "failed",
}


class Progress:
    """One operation's snapshot: the only place that changes and publishes it."""

    def __init__(self, kind: OperationKind) -> None:
        info = workflow.info()
        self.kind = kind
        self.snapshot = OperationSnapshot(
            kind=kind.name,
            steps=tuple(StepProgress(name=step.name) for step in kind.steps),
            started_at=info.start_time,
        )
        self.parameters_version = 0
        self._origin = Origin()
        self._run_id = info.first_execution_run_id

    @property
    def is_committed(self) -> bool:
        """Whether the point of no return has passed."""
        return self.snapshot.committed_at is not None

    def accept(self, request: OperationRequest) -> None:
        """Take over what the request says about itself, first or after a change."""
        self._origin = request.origin
        self._change(
            started_at=request.origin.requested_at or self.snapshot.started_at,
            **request.shown,
        )

    def see_parameters(self, version: int | None) -> None:
        """Go on from a version of the parameters that the row has and nobody was told of: it was given up."""
        self.parameters_version = max(self.parameters_version, version or 0)

    def start(self, step: str, attempt: int) -> None:
        """Begin a step, or the transaction by its first one.

        The first attempt at the transaction is not published: a memo is seen only when the workflow task completes,
        which on the usual path is at the end. The gateway takes the started task for a running operation.
        """
        started = {"started_at": workflow.now()} if attempt == 1 else {}
        self._change(step=step, status=OperationStatus.RUNNING)
        self.set_step(step, status=StepStatus.RUNNING, attempts=attempt, **started)
        if attempt > 1 or self.is_committed:
            self.publish()

    def fail_attempt(self, step: str, attempt: int, status: StepStatus) -> None:
        """Show which step an attempt at the transaction failed in; what the others wrote was rolled back."""
        if not self.is_committed:
            self._each_step(lambda line: line.model_copy(update={"status": StepStatus.PENDING}))
        self._change(step=step)
        self.set_step(step, status=status, attempts=attempt)

    def forget_steps(self, error: OperationError | None) -> None:
        """Show that nothing of the steps is left, and which one failed for good, if one did."""
        self._each_step(lambda line: line.model_copy(update={"status": StepStatus.PENDING}))
        if error is not None and error.step is not None:
            self.set_step(error.step, status=StepStatus.FAILED, finished_at=workflow.now())

    def set_step(self, name: str, **changes: Any) -> None:
        """Change one step's line; seen with the next thing that is published."""
        self._each_step(lambda line: line.model_copy(update=changes) if line.name == name else line)

    def commit(self, committed: Committed) -> None:
        """Take over what the transaction has committed."""
        done = [line.name for line in committed.steps if line.status is StepStatus.COMPLETED]
        self._change(
            steps=committed.steps,
            progress=max((self.kind.progress_after(name) for name in done), default=0),
            result=committed.result,
            committed_at=committed.committed_at,
            step=done[-1] if done else self.snapshot.step,
            error=None,
            **NOT_CANCELLED,
        )

    def finish_step(self, step: str) -> None:
        """Show that a step after the commit has done its work."""
        self.set_step(step, status=StepStatus.COMPLETED, finished_at=workflow.now())
        self._change(progress=self.kind.progress_after(step), error=None)

    def warn(self, warning: OperationWarning) -> None:
        """Add a warning; seen with the next thing that is published."""
        self._change(warnings=(*self.snapshot.warnings, warning), error=None)

    def complete(self) -> None:
        """End the operation as completed."""
        self.snapshot = self.snapshot.completed(workflow.now())
        self.publish()

    def end(self, status: OperationStatus, error: OperationError | None) -> None:
        """End the operation with nothing written."""
        self.publish(status=status, error=error, finished_at=workflow.now())

    def publish(self, **changes: Any) -> None:
        """Change the snapshot and show it; what the operation waits for is gone unless it is among the changes."""
        self._change(**{"next_try_at": None, "attention_deadline": None, **changes})
        workflow.upsert_memo({OPERATION_MEMO: self.snapshot})

    def context(self) -> OperationContext:
        """Return what activities need to know of this operation."""
        info = workflow.info()
        return OperationContext(
            workflow_id=info.workflow_id,
            run_id=self._run_id,
            namespace=info.namespace,
            parameters_version=self.parameters_version,
            origin=self._origin,
            snapshot=self.snapshot,
        )

    def wire_state(self) -> WorkflowState:
        """Return the snapshot in the terms of Alga's client."""
        snapshot = self.snapshot
        result = snapshot.result or {}
        step = self.kind.find_step(snapshot.step) or self.kind.steps[0]
        return WorkflowState(
            step=WIRE_ENDS.get(snapshot.status) or step.wire_name or step.name,
            progress=snapshot.progress,
            tenant_id=snapshot.tenant_id,
            admin_user_id=result.get("adminUserId"),
            client_id=result.get("clientId"),
            email_sent=False if result else None,
            error=snapshot.error.detail if snapshot.error else snapshot.cancel_reason,
        )

    def _each_step(self, change: Callable[[StepProgress], StepProgress]) -> None:
        self._change(steps=tuple(change(line) for line in self.snapshot.steps))

    def _change(self, **changes: Any) -> None:
        self.snapshot = self.snapshot.model_copy(update={**changes, "updated_at": workflow.now()})
