"""The shell around the steps of an operation: retry, progress, cancel, rollback.

A step is never interrupted: a cancel is seen before the next step or while waiting to retry one. Nor is a
rollback: it is retried until it has succeeded.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from workflows.failures import StepFailedError, describe_failure
    from workflows.messages import (
        OPERATION_MEMO,
        CancelRequest,
        Message,
        OperationContext,
        OperationError,
        OperationResult,
        OperationSnapshot,
        OperationStatus,
        RollBackInput,
        RollBackResult,
        StepInput,
        StepProgress,
        StepStatus,
        TenantCreationInput,
        WorkflowState,
    )
    from workflows.steps import (
        PROGRESS_AFTER,
        ROLL_BACK_ACTIVITY,
        ROLL_BACK_HEARTBEAT_TIMEOUT,
        ROLL_BACK_TIMEOUT,
        SINGLE_ATTEMPT,
        STEP_ACTIVITIES,
        STEP_TIMEOUT,
        Step,
        retry_delay,
    )

ResultT = TypeVar("ResultT")
MessageT = TypeVar("MessageT", bound=Message)

CANCELLED = "cancelled"

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


class OperationCancelledError(Exception):
    """The operation was asked to stop and has not completed."""


class Lifecycle:
    """One operation's progress, and the only way its steps are run."""

    def __init__(self, kind: str, steps: Sequence[Step]) -> None:
        self.snapshot = OperationSnapshot(
            kind=kind,
            steps=tuple(StepProgress(name=step) for step in steps),
            started_at=workflow.info().start_time,
        )
        self._cancel: CancelRequest | None = None
        self._cancelled_by_temporal = False

    def accept(self, request: TenantCreationInput) -> None:
        """Take over what the request says about itself, once it has been understood."""
        self._change(
            tenant_id=request.tenant_id,
            requested_by=request.origin.requested_by,
            request_fingerprint=request.origin.request_fingerprint,
        )

    def request_cancel(self, request: CancelRequest) -> None:
        """Stop before the next step; the first request counts, and none does once the operation is ending."""
        if self._cancel is None and not self._is_ending:
            self._cancel = request
            self._publish(
                status=OperationStatus.CANCELLING,
                cancelled_by=request.cancelled_by,
                cancel_reason=request.reason,
            )

    async def finish_uninterrupted(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Await work that Temporal's own cancel must not interrupt: it becomes a request to stop."""
        task = asyncio.create_task(work)
        while True:
            try:
                # One shield lasts for one cancel: the waiting task can be cancelled again.
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                if task.cancelled():
                    raise
                self._cancelled_by_temporal = True
                self.request_cancel(CancelRequest(reason=workflow.cancellation_reason(), cancelled_by="temporal"))

    async def run_step(self, step: Step, request: TenantCreationInput, result_type: type[MessageT]) -> MessageT:
        """Run one step until it succeeds, retrying passing errors.

        Raises:
            StepFailedError: the step failed for good.
            OperationCancelledError: a cancel came before the step, or between two tries.
        """
        attempt = 0
        while True:
            self._stop_if_cancelled()
            attempt += 1
            self._start_step(step, attempt)
            try:
                result: MessageT = await workflow.execute_local_activity(
                    STEP_ACTIVITIES[step],
                    StepInput(operation=self._context(), request=request),
                    result_type=result_type,
                    start_to_close_timeout=STEP_TIMEOUT,
                    retry_policy=SINGLE_ATTEMPT,
                )
            except FailureError as error:
                failure = describe_failure(error, step)
                if failure.cancel is not None:
                    self._set_step(step, status=StepStatus.PENDING)
                    self.request_cancel(failure.cancel)
                elif failure.is_final:
                    self._set_step(step, status=StepStatus.FAILED, finished_at=workflow.now())
                    raise StepFailedError(failure.error) from error
                else:
                    await self._wait_to_retry(step, attempt, failure.error)
            else:
                self._finish_step(step)
                return result

    async def roll_back(self, request: TenantCreationInput, error: OperationError | None) -> OperationResult | None:
        """Undo everything, however long it takes; ends as `failed` where there is an error, else `cancelled`.

        Returns a result where the operation turns out to have completed: a signal that arrives with the end of
        the last step makes Temporal forget the steps, and run the workflow again on a finished tenant.
        """
        outcome = OperationStatus.FAILED if error else OperationStatus.CANCELLED
        self._publish(status=OperationStatus.ROLLING_BACK, error=error)
        attempt = 0
        while True:
            attempt += 1
            try:
                result: RollBackResult = await workflow.execute_activity(
                    ROLL_BACK_ACTIVITY,
                    RollBackInput(
                        operation=self._context(),
                        request=request,
                        outcome="failed" if error else "cancelled",
                        error=error,
                        cancelled_by=self.snapshot.cancelled_by,
                        cancel_reason=self.snapshot.cancel_reason,
                    ),
                    result_type=RollBackResult,
                    start_to_close_timeout=ROLL_BACK_TIMEOUT,
                    heartbeat_timeout=ROLL_BACK_HEARTBEAT_TIMEOUT,
                    retry_policy=SINGLE_ATTEMPT,
                )
                break
            except FailureError as problem:
                self._publish(error=describe_failure(problem, self.snapshot.step).error)
                await workflow.sleep(retry_delay(attempt))
        if result.completed is not None:
            self.complete(result.completed)
            return result.completed
        self._publish(status=outcome, error=error, finished_at=workflow.now())
        return None

    def complete(self, result: OperationResult) -> None:
        """End the operation as completed."""
        done = {"status": StepStatus.COMPLETED}
        self._publish(
            status=OperationStatus.COMPLETED,
            step=self.snapshot.steps[-1].name,
            steps=tuple(step.model_copy(update=done) for step in self.snapshot.steps),
            progress=100,
            result=result,
            error=None,
            cancelled_by=None,
            cancel_reason=None,
            finished_at=workflow.now(),
        )

    def reject(self, error: OperationError) -> None:
        """End the operation as failed before anything has been written, so that nothing needs undoing."""
        self._publish(status=OperationStatus.FAILED, error=error, finished_at=workflow.now())

    def ending(self) -> BaseException:
        """What the workflow raises to end as its status says."""
        if self.snapshot.status is OperationStatus.CANCELLED:
            if self._cancelled_by_temporal:
                return asyncio.CancelledError()
            return ApplicationError(self.snapshot.cancel_reason or "cancelled", type=CANCELLED, non_retryable=True)
        error = self.snapshot.error
        if error is None:
            return RuntimeError("an operation that neither failed nor was cancelled has no such ending")
        return ApplicationError(error.detail, type=error.code, non_retryable=True)

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

    def _context(self) -> OperationContext:
        """What activities are told about this operation."""
        info = workflow.info()
        snapshot = self.snapshot
        if snapshot.tenant_id is None or snapshot.started_at is None:
            raise RuntimeError("an activity is started before the request was accepted")
        return OperationContext(
            workflow_id=info.workflow_id,
            run_id=info.first_execution_run_id,
            tenant_id=snapshot.tenant_id,
            kind=snapshot.kind,
            step=snapshot.step or snapshot.steps[0].name,
            progress=snapshot.progress,
            steps=snapshot.steps,
            started_at=snapshot.started_at,
        )

    @property
    def _is_ending(self) -> bool:
        return self.snapshot.status is OperationStatus.ROLLING_BACK or self.snapshot.status.is_final

    def _stop_if_cancelled(self) -> None:
        if self._cancel is not None:
            raise OperationCancelledError

    def _start_step(self, step: Step, attempt: int) -> None:
        started_at = workflow.now() if attempt == 1 else None
        self.snapshot = self.snapshot.model_copy(update={"step": step})
        self._set_step(step, status=StepStatus.RUNNING, attempts=attempt, **_given(started_at=started_at))
        self._publish(status=OperationStatus.RUNNING)

    def _finish_step(self, step: Step) -> None:
        self._set_step(step, status=StepStatus.COMPLETED, finished_at=workflow.now())
        self._change(progress=PROGRESS_AFTER[step], error=None)

    async def _wait_to_retry(self, step: Step, attempt: int, error: OperationError) -> None:
        self._set_step(step, status=StepStatus.RETRYING)
        if self._cancel is None:
            self._publish(status=OperationStatus.RETRYING, error=error)
        try:
            await workflow.wait_condition(lambda: self._cancel is not None, timeout=retry_delay(attempt))
        except TimeoutError:
            return

    def _set_step(self, name: Step, **changes: Any) -> None:
        self._change(
            steps=tuple(
                step.model_copy(update=changes) if step.name is name else step for step in self.snapshot.steps
            )
        )

    def _change(self, **changes: Any) -> None:
        self.snapshot = self.snapshot.model_copy(update={**changes, "updated_at": workflow.now()})

    def _publish(self, **changes: Any) -> None:
        self._change(**changes)
        workflow.upsert_memo({OPERATION_MEMO: self.snapshot})


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
