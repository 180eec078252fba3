"""The progress of one operation, published in the workflow's memo."""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.operations.failures import CANCEL_TOO_LATE
    from workflows.operations.kinds import OperationKind, initial_snapshot, rolled_back
    from workflows.operations.messages import (
        NOT_CANCELLED,
        OPERATION_MEMO,
        Committed,
        OperationContext,
        OperationError,
        OperationRequest,
        OperationWarning,
        Origin,
        StepDone,
    )
    from workflows.operations.statuses import OperationStatus, StepStatus

# The ends of an operation, which are steps to Alga's client.
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
        self.snapshot = initial_snapshot(kind).model_copy(update={"started_at": info.start_time})
        self.parameters_version = 0
        self._origin = Origin()
        self._run_id = info.first_execution_run_id

    @property
    def is_committed(self) -> bool:
        """Whether the point of no return has passed."""
        return self.snapshot.committed_at is not None

    def accept(self, request: OperationRequest) -> None:
        """Show the parsed or changed request."""
        self._origin = request.origin
        self._change(started_at=request.origin.requested_at or self.snapshot.started_at, **request.shown)

    def see_parameters(self, version: int | None) -> None:
        """Continue from the version of the parameters in the row, whose change was given up on before it returned."""
        self.parameters_version = max(self.parameters_version, version or 0)

    def start(self, step: str, attempt: int) -> None:
        """Begin a step, or the transaction by its first step.

        The first attempt at a short step is not published: a memo becomes visible when the workflow task ends,
        usually with the operation. The gateway takes the started task for a running operation.
        """
        is_running = any(line.name == step and line.status is StepStatus.RUNNING for line in self.snapshot.steps)
        started = {"started_at": workflow.now()} if attempt == 1 and not is_running else {}
        self._change(step=step, status=OperationStatus.RUNNING)
        self.set_step(step, status=StepStatus.RUNNING, attempts=attempt, **started)
        if attempt > 1 or self.is_committed or self.kind.is_long(step):
            self.publish()

    def fail_attempt(self, step: str, attempt: int, status: StepStatus) -> None:
        """Show which step failed; before the commit, the others of the transaction were rolled back."""
        if not self.is_committed:
            self._reset_steps(self.kind.first_of_transaction)
        self._change(step=step)
        self.set_step(step, status=status, attempts=attempt)

    def forget_steps(self, error: OperationError | None) -> None:
        """Show that all steps were rolled back, and which one failed for good."""
        now = workflow.now()
        self.snapshot = rolled_back(self.snapshot, error.step if error is not None else None, now)
        self._change()

    def set_step(self, name: str, **changes: Any) -> None:
        """Change one step; `publish` makes it visible."""
        steps = (step.model_copy(update=changes) if step.name == name else step for step in self.snapshot.steps)
        self._change(steps=tuple(steps))

    def commit(self, committed: Committed) -> None:
        """Show what the transaction has committed."""
        done = [line.name for line in committed.steps if line.status is StepStatus.COMPLETED]
        self._change(
            steps=committed.steps,
            progress=max((self.kind.progress_after(name) for name in done), default=0),
            result=committed.result,
            committed_at=committed.committed_at,
            warnings=tuple(dict.fromkeys((*self.snapshot.warnings, *committed.warnings))),
            step=done[-1] if done else self.snapshot.step,
            error=None,
            **NOT_CANCELLED,
        )

    def finish_step(self, step: str, done: StepDone | None = None) -> None:
        """Complete a step outside the transaction, and add what it has returned."""
        self.set_step(step, status=StepStatus.COMPLETED, finished_at=workflow.now())
        self._change(progress=self.kind.progress_after(step), error=None)
        if done is not None:
            self._change(result={**(self.snapshot.result or {}), **done.result})
            self.warn(*done.warnings)

    def warn(self, *warnings: OperationWarning) -> None:
        """Add warnings that are new; `publish` makes them visible. After the commit they replace the error."""
        error = None if self.is_committed else self.snapshot.error
        self._change(warnings=tuple(dict.fromkeys((*self.snapshot.warnings, *warnings))), error=error)

    def warn_of_late_cancel(self) -> bool:
        """Warn that a cancel came after the commit; False if it was said before."""
        if any(warning.code == CANCEL_TOO_LATE for warning in self.snapshot.warnings):
            return False
        undo = self.kind.undo.format(tenant_id=self.snapshot.tenant_id)
        detail = f"the cancel came after the commit and stopped nothing; {undo}"
        self.warn(OperationWarning(code=CANCEL_TOO_LATE, detail=detail))
        return True

    def complete(self) -> None:
        """End the operation as completed."""
        self.snapshot = self.snapshot.completed(workflow.now())
        self.publish()

    def publish(self, **changes: Any) -> None:
        """Change the snapshot and publish it; the operation no longer waits, unless the changes say so."""
        self.snapshot = self.snapshot.at_work(**changes, updated_at=workflow.now())
        workflow.upsert_memo({OPERATION_MEMO: self.snapshot})

    def context(self) -> OperationContext:
        """Return the operation as activities need it."""
        info = workflow.info()
        return OperationContext(
            workflow_id=info.workflow_id,
            run_id=self._run_id,
            namespace=info.namespace,
            parameters_version=self.parameters_version,
            origin=self._origin,
            snapshot=self.snapshot,
        )

    def wire_state(self) -> dict[str, Any]:
        """Return the state in the terms of Alga's client, which expects unknown parts to be absent."""
        snapshot = self.snapshot
        result = snapshot.result or {}
        step = self.kind.find_step(snapshot.step) or self.kind.steps[0]
        state = {
            "step": WIRE_ENDS.get(snapshot.status) or step.wire_name or step.name,
            "progress": snapshot.progress,
            "tenantId": str(snapshot.tenant_id) if snapshot.tenant_id is not None else None,
            "adminUserId": result.get("adminUserId"),
            "clientId": result.get("clientId"),
            "error": snapshot.error.detail if snapshot.error else snapshot.cancel_reason,
        }
        return {name: value for name, value in state.items() if value is not None}

    def _reset_steps(self, first: str | None) -> None:
        """Show the steps from the first one on as pending."""
        steps = self.snapshot.steps
        kept = next((place for place, step in enumerate(steps) if step.name == first), 0)
        pending = {"status": StepStatus.PENDING}
        self._change(steps=(*steps[:kept], *(step.model_copy(update=pending) for step in steps[kept:])))

    def _change(self, **changes: Any) -> None:
        self.snapshot = self.snapshot.model_copy(update={**changes, "updated_at": workflow.now()})
