"""The shell around the steps of an operation: retry, attention, cancel, rollback.

A step is never interrupted: a cancel is seen before the next step or while waiting to try one again. Nor is a
rollback: it is retried until it has succeeded.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from workflows.failures import StepFailedError, describe_failure
    from workflows.messages import (
        CancelRequest,
        FailurePolicy,
        Message,
        OperationError,
        OperationResult,
        OperationStatus,
        Origin,
        ParameterChangeInput,
        RollBackInput,
        RollBackResult,
        StepInput,
        StepStatus,
        TenantCreationInput,
    )
    from workflows.parameters import apply_changes, first_use
    from workflows.progress import Progress
    from workflows.retrying import RetryWindow, retry_delay
    from workflows.steps import (
        FAILURE_POLICY_ACTIVITY,
        PARAMETER_CHANGE_ACTIVITY,
        ROLL_BACK_ACTIVITY,
        ROLL_BACK_HEARTBEAT_TIMEOUT,
        ROLL_BACK_TIMEOUT,
        SINGLE_ATTEMPT,
        STEP_ACTIVITIES,
        STEP_TIMEOUT,
        Step,
    )

ResultT = TypeVar("ResultT")
MessageT = TypeVar("MessageT", bound=Message)

CANCELLED = "cancelled"

# Workflows that began before there was a policy retry passing errors for ever, and go on doing so.
FAILURE_POLICY_PATCH = "failure-policy"

WAITING = {OperationStatus.RETRYING, OperationStatus.NEEDS_ATTENTION}


class OperationCancelledError(Exception):
    """The operation was asked to stop and has not completed."""


class Lifecycle:
    """One operation: its progress, its request once accepted, and the only way its steps are run."""

    def __init__(self, kind: str, steps: Sequence[Step]) -> None:
        self.progress = Progress(kind, steps)
        self.request: TenantCreationInput | None = None
        self._changing = asyncio.Lock()
        self._is_prepared = False
        self._cancel: CancelRequest | None = None
        self._cancelled_by_temporal = False
        self._resumed = False

    def accept(self, request: TenantCreationInput) -> None:
        """Take over the request, once it has been understood."""
        self.request = request
        self.progress.accept(request)

    def request_cancel(self, request: CancelRequest) -> None:
        """Stop before the next step; the first request counts, and none does once the operation is ending."""
        if self._cancel is None and not self.progress.is_ending:
            self._cancel = request
            self.progress.publish(
                status=OperationStatus.CANCELLING,
                cancelled_by=request.cancelled_by,
                cancelled_via=request.cancelled_via,
                cancel_reason=request.reason,
            )

    def request_resume(self) -> None:
        """Try the step again at once that waits to be tried again, or for an operator; else nothing happens."""
        if self.progress.snapshot.status in WAITING:
            self._resumed = True

    def changed(self, changes: Mapping[str, Any]) -> TenantCreationInput:
        """The request with these changes, as far as can be told here; raises `ParameterRefusedError`."""
        return apply_changes(self._accepted, changes, self.progress.completed_steps)

    async def change(self, changes: Mapping[str, Any], origin: Origin | None = None) -> None:
        """Change parameters that no step has used yet, all or none; what waits is then tried again at once.

        Only the database knows which steps have used theirs: one may have been committed though nobody heard of it,
        and one that was given up on may still be running. The row then lets none write that has not seen the change.

        Raises:
            ParameterRefusedError: one of the parameters can't be changed.
            ApplicationError: a step has used one, the operation is stopping, or the database is away.
        """
        # Until the first step the request is being prepared, and may hold a password in clear.
        await workflow.wait_condition(lambda: self._is_prepared)
        async with self._changing:
            changed = self.changed(changes)
            try:
                await workflow.execute_local_activity(
                    PARAMETER_CHANGE_ACTIVITY,
                    ParameterChangeInput(
                        operation=self.progress.context(),
                        request=changed,
                        first_used_in=first_use(changes),
                        changed=tuple(changes),
                        origin=origin or Origin(),
                    ),
                    start_to_close_timeout=STEP_TIMEOUT,
                    retry_policy=SINGLE_ATTEMPT,
                )
            except FailureError as error:
                failure = describe_failure(error, None).error
                raise ApplicationError(failure.detail, failure.field, type=failure.code, non_retryable=True) from None
            self.request = changed
            self.progress.parameters_version += 1
        self.request_resume()

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

    async def run_step(self, step: Step, result_type: type[MessageT]) -> MessageT:
        """Run one step until it succeeds, retrying passing errors and parking when they last.

        Raises:
            StepFailedError: the step failed for good, or nobody looked after the parked operation in time.
            OperationCancelledError: a cancel came before the step, or between two tries.
        """
        self._is_prepared = True
        attempt = 0
        window: RetryWindow | None = None
        while True:
            await workflow.wait_condition(lambda: not self._changing.locked())
            self._stop_if_cancelled()
            attempt += 1
            self.progress.start_step(step, attempt)
            try:
                result = await self._execute(step, result_type)
            except FailureError as error:
                failure = describe_failure(error, step)
                if failure.cancel is not None:
                    self.progress.set_step(step, status=StepStatus.PENDING)
                    self.request_cancel(failure.cancel)
                elif failure.is_final:
                    raise self._given_up(step, failure.error) from error
                else:
                    window = await self._wait_to_retry(step, attempt, failure.error, window)
                    # Only now: a worker that Temporal has given up on gets no further than the wait.
                    self.progress.see_parameters(failure.parameters_version)
            else:
                self.progress.finish_step(step)
                return result

    async def roll_back(self, error: OperationError | None) -> OperationResult | None:
        """Undo everything, however long it takes; ends as `failed` where there is an error, else `cancelled`.

        Returns a result where the operation turns out to have completed: a signal that arrives with the end of
        the last step makes Temporal forget the steps, and run the workflow again on a finished tenant.
        """
        self.progress.publish(status=OperationStatus.ROLLING_BACK, error=error)
        attempt = 0
        while True:
            attempt += 1
            try:
                result = await self._execute_rollback(error)
                break
            except FailureError as problem:
                delay = retry_delay(attempt)
                self.progress.publish(
                    error=describe_failure(problem, self.progress.snapshot.step).error,
                    next_try_at=workflow.now() + delay,
                )
                await workflow.sleep(delay)
        if result.completed is not None:
            self.progress.complete(result.completed)
            return result.completed
        self.progress.end(OperationStatus.FAILED if error else OperationStatus.CANCELLED, error)
        return None

    def ending(self) -> BaseException:
        """What the workflow raises to end as its status says."""
        snapshot = self.progress.snapshot
        if snapshot.status is OperationStatus.CANCELLED:
            if self._cancelled_by_temporal:
                return asyncio.CancelledError()
            return ApplicationError(snapshot.cancel_reason or "cancelled", type=CANCELLED, non_retryable=True)
        error = snapshot.error
        if error is None:
            return RuntimeError("an operation that neither failed nor was cancelled has no such ending")
        return ApplicationError(error.detail, type=error.code, non_retryable=True)

    async def _execute(self, step: Step, result_type: type[MessageT]) -> MessageT:
        result: MessageT = await workflow.execute_local_activity(
            STEP_ACTIVITIES[step],
            StepInput(operation=self.progress.context(), request=self._accepted),
            result_type=result_type,
            start_to_close_timeout=STEP_TIMEOUT,
            retry_policy=SINGLE_ATTEMPT,
        )
        return result

    async def _execute_rollback(self, error: OperationError | None) -> RollBackResult:
        snapshot = self.progress.snapshot
        result: RollBackResult = await workflow.execute_activity(
            ROLL_BACK_ACTIVITY,
            RollBackInput(
                operation=self.progress.context(),
                request=self.request,
                outcome="failed" if error else "cancelled",
                error=error,
                cancelled_by=snapshot.cancelled_by,
                cancelled_via=snapshot.cancelled_via,
                cancel_reason=snapshot.cancel_reason,
            ),
            result_type=RollBackResult,
            start_to_close_timeout=ROLL_BACK_TIMEOUT,
            heartbeat_timeout=ROLL_BACK_HEARTBEAT_TIMEOUT,
            retry_policy=SINGLE_ATTEMPT,
        )
        return result

    @property
    def _accepted(self) -> TenantCreationInput:
        if self.request is None:
            raise RuntimeError("the request is used before it was accepted")
        return self.request

    def _stop_if_cancelled(self) -> None:
        if self._cancel is not None:
            raise OperationCancelledError

    def _given_up(self, step: Step, error: OperationError) -> StepFailedError:
        self.progress.set_step(step, status=StepStatus.FAILED, finished_at=workflow.now())
        return StepFailedError(error)

    async def _wait_to_retry(
        self, step: Step, attempt: int, error: OperationError, window: RetryWindow | None
    ) -> RetryWindow | None:
        """Return when it is time for the next try, with the window that it falls in; none for a new one."""
        self.progress.set_step(step, status=StepStatus.RETRYING)
        if not workflow.patched(FAILURE_POLICY_PATCH):
            await self._wait_for_next_try(retry_delay(attempt), error)
            return None
        if window is None:
            window = RetryWindow(await self._failure_policy(), workflow.now())
        delay = window.next_delay(workflow.now())
        if delay is not None:
            return None if await self._wait_for_next_try(delay, error) else window
        if not await self._park(window.policy, error):
            raise self._given_up(step, error)
        return None

    async def _wait_for_next_try(self, delay: timedelta, error: OperationError) -> bool:
        """Whether somebody ended the wait."""
        if self._cancel is None:
            self.progress.publish(status=OperationStatus.RETRYING, error=error, next_try_at=workflow.now() + delay)
        return await self._woken(delay)

    async def _park(self, policy: FailurePolicy, error: OperationError) -> bool:
        """Put the operation before an operator; whether one came in time."""
        timeout = policy.attention_timeout if policy.on_attention_timeout == "rollback" else None
        if self._cancel is None:
            self.progress.publish(
                status=OperationStatus.NEEDS_ATTENTION,
                error=error,
                attention_deadline=workflow.now() + timeout if timeout is not None else None,
            )
        return await self._woken(timeout)

    async def _woken(self, most: timedelta | None) -> bool:
        """Whether a resume or a cancel came within that time."""
        self._resumed = False
        try:
            await workflow.wait_condition(lambda: self._resumed or self._cancel is not None, timeout=most)
        except TimeoutError:
            return False
        return True

    async def _failure_policy(self) -> FailurePolicy:
        """The policy of the worker that runs now; as a local activity, so that a replay finds what was read."""
        policy: FailurePolicy = await workflow.execute_local_activity(
            FAILURE_POLICY_ACTIVITY,
            result_type=FailurePolicy,
            start_to_close_timeout=STEP_TIMEOUT,
        )
        return policy
