"""The lifecycle of an operation: retry, attention, cancel, commit, and what follows the commit.

Until the commit nothing is written, so that a cancel or a final error leaves nothing to undo. After it the operation
only moves forward: what fails then becomes a warning.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any, Generic, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from workflows.operations.failures import (
        CANCELLED,
        OPERATION_ENDING,
        PARAMETER_USED,
        Failure,
        OperationCancelledError,
        StepFailedError,
        describe_failure,
        refusal,
    )
    from workflows.operations.kinds import (
        COMPLETE_ACTIVITY,
        PARAMETER_CHANGE_ACTIVITY,
        SINGLE_ATTEMPT,
        STEP_TIMEOUT,
        OperationKind,
    )
    from workflows.operations.messages import (
        Cancellation,
        ClosingInput,
        Closure,
        Committed,
        FollowUpInput,
        Message,
        OperationContext,
        OperationError,
        OperationInput,
        OperationRequest,
        OperationWarning,
        Origin,
        ParameterChangeInput,
        StepDone,
    )
    from workflows.operations.parameters import apply_changes
    from workflows.operations.progress import Progress
    from workflows.operations.retrying import RetryWindow, read_failure_policy, run_locally, run_with_heartbeats
    from workflows.operations.statuses import OperationStatus, StepStatus

RequestT = TypeVar("RequestT", bound=OperationRequest)
ResultT = TypeVar("ResultT")
Prepare = Callable[[], Awaitable[None]]
TransactionInput = Callable[[OperationContext, RequestT], Message]


class Lifecycle(Generic[RequestT]):
    """One operation: its progress, its accepted request, and the only way to run its work."""

    def __init__(self, kind: OperationKind) -> None:
        self.progress = Progress(kind)
        self._kind = kind
        self._request: RequestT | None = None
        self._changing = asyncio.Lock()
        self._is_prepared = self._is_closing = False
        self.cancellation: Cancellation | None = None
        self._is_cancelled = self._cancelled_by_temporal = False
        self._is_held = False  # It has changed something, so only its commit or its undo may end it.
        self._resumed = False
        self._has_late_cancel = False

    @property
    def request(self) -> RequestT:
        """The request; raises `RuntimeError` before it was accepted."""
        if self._request is None:
            raise RuntimeError("the request is used before it was accepted")
        return self._request

    def accept(self, request: RequestT) -> None:
        """Accept the parsed or changed request."""
        self._request = request
        self.progress.accept(request)

    @property
    def is_ending(self) -> bool:
        """Whether it is too late to change or to cancel anything."""
        return self._is_closing or self.progress.is_committed or self.progress.snapshot.has_ended

    def request_cancel(self, cancellation: Cancellation) -> None:
        """Stop before the commit; the first cancellation counts, and one after the commit becomes a warning."""
        if self.progress.is_committed:
            self._has_late_cancel |= self.progress.warn_of_late_cancel()
        elif self._is_closing:
            self._resumed = True
        elif not self._is_cancelled and not self.progress.snapshot.has_ended:
            self._is_cancelled, self.cancellation = True, cancellation
            status = OperationStatus.ROLLING_BACK if self._is_held else OperationStatus.CANCELLING
            self.progress.publish(status=status, **cancellation.shown)

    def request_resume(self) -> None:
        """Make the next attempt at once if the operation waits for it or for an operator."""
        if self.progress.snapshot.status.is_resumable:
            self._resumed = True

    def changed(self, changes: Mapping[str, Any]) -> RequestT:
        """Return the request with these changes; raises `ApplicationError` if one can't be made."""
        return apply_changes(self.request, changes, self._kind.parameters)

    async def change(self, changes: Mapping[str, Any], origin: Origin | None = None) -> None:
        """Change parameters before the commit, all or none; a waiting operation makes its next attempt at once.

        Only the database knows whether the operation was committed: an attempt that was given up on may still run.
        From then on the row lets no attempt commit that missed the change. Raises `ApplicationError` if a parameter
        can't be changed, the operation is committed or stopping, or the database is unavailable.
        """
        async with self._changing:
            # Until it is prepared the request may hold a plaintext password.
            await workflow.wait_condition(lambda: self._is_prepared)
            if self.progress.is_committed:
                detail = "the operation is committed; its parameters can't be changed any more"
                raise refusal(PARAMETER_USED, detail)
            if self.is_ending:
                raise refusal(OPERATION_ENDING, "the operation is ending; its parameters can't be changed any more")
            changed = self.changed(changes)
            snapshot = self.progress.snapshot.model_copy(update=changed.parameters_shown)
            digest = hashlib.sha256(changed.model_dump_json().encode()).hexdigest()
            argument = ParameterChangeInput(
                operation=self.progress.context().showing(snapshot),
                changed=tuple(changes),
                digest=digest,
                origin=origin or Origin(),
            )
            try:
                await run_locally(PARAMETER_CHANGE_ACTIVITY, argument, StepDone)
            except FailureError as error:
                failure = describe_failure(error, None).error
                raise refusal(failure.code, failure.detail, failure.field) from None
            self.accept(changed)
            self.progress.parameters_version += 1
        self.request_resume()

    async def run(self, prepare: Prepare, transaction_input: TransactionInput[RequestT]) -> dict[str, Any]:
        """Prepare the request, commit the transaction, run the steps that follow, and return the operation's result.

        Raises `ApplicationError`, or `asyncio.CancelledError` if a cancel in Temporal ended the operation.
        """
        committed: Committed | None
        try:
            committed = await self._uninterrupted(self._commit(prepare, transaction_input))
        except OperationCancelledError:
            committed = await self._uninterrupted(self._close(None))
        except StepFailedError as failure:
            committed = await self._uninterrupted(self._close(failure.error))
        if committed is None:
            raise self._ending()
        await self._uninterrupted(self._finish(committed))
        return self.progress.snapshot.result or {}

    def fail(self, error: OperationError) -> BaseException:
        """Fail the operation before it has begun, and return the error that the workflow must raise."""
        self.progress.publish(status=OperationStatus.FAILED, error=error, finished_at=workflow.now())
        return self._ending()

    def _ending(self) -> BaseException:
        snapshot = self.progress.snapshot
        if snapshot.status is OperationStatus.CANCELLED:
            error = ApplicationError(snapshot.cancel_reason or CANCELLED, type=CANCELLED, non_retryable=True)
            return asyncio.CancelledError() if self._cancelled_by_temporal else error
        if snapshot.error is None:
            return RuntimeError("the operation has neither failed nor been cancelled")
        return ApplicationError(snapshot.error.detail, type=snapshot.error.code, non_retryable=True)

    async def _commit(self, prepare: Prepare, transaction_input: TransactionInput[RequestT]) -> Committed:
        """Prepare the request, and run the transaction until it commits."""

        async def attempt() -> Committed:
            argument = transaction_input(self.progress.context(), self.request)
            run = run_with_heartbeats if self._kind.is_long(self._kind.first_of_transaction) else run_locally
            return await run(self._kind.transaction, argument, Committed)

        parks = self._kind.gives_up_after is None
        await self._retry(self._kind.steps[0].name, prepare, parks=parks, is_cancellable=True)
        self._is_prepared = True
        return await self._retry(self._kind.first_of_transaction, attempt, parks=parks, is_cancellable=True)

    async def _close(self, error: OperationError | None) -> Committed | None:
        """Close the operation's row as failed, or as cancelled if there is no error, so that nothing commits later.

        Returns what was committed if the commit came first: then the operation stays open.
        """
        self._is_closing = True
        self.progress.forget_steps(error)
        end = OperationStatus.FAILED if error else OperationStatus.CANCELLED
        ended = self.progress.snapshot.at_work(status=end, progress=0, error=error, finished_at=workflow.now())

        async def attempt() -> Closure:
            operation = self.progress.context().showing(ended)
            argument = ClosingInput(operation=operation, cancellation=self.cancellation)
            return await run_locally(self._kind.close_activity, argument, Closure)

        try:
            closure = await self._retry(None, attempt, parks=True, is_cancellable=False)
        finally:
            self._is_closing = False
        if closure.committed is None:
            # If an earlier attempt closed the row and its result was lost, that is how the operation ended.
            self.progress.snapshot = closure.ended or ended
            self.progress.publish()
        return closure.committed

    async def _finish(self, committed: Committed) -> None:
        """Run the steps that follow the commit, and complete the operation; nothing fails it any more."""
        self._is_held = False
        self.progress.commit(committed)
        if self._is_cancelled:
            self._has_late_cancel |= self.progress.warn_of_late_cancel()
        pending = [line.name for line in committed.steps if line.status is StepStatus.PENDING]
        for name in pending:
            step = self._kind.find_step(name)
            if step is not None and step.activity is not None:
                await self._follow_up(name, step.activity)
        if pending:
            self._has_late_cancel = False
            await self._follow_up(self._kind.last_step, None)
        await self._no_change_in_flight()
        if self._has_late_cancel:
            # The row was closed without the warning.
            await self._follow_up(None, None)
        self.progress.complete()

    async def _follow_up(self, step: str | None, activity: str | None) -> None:
        """Run a step after the commit; without an activity it closes the operation's row, or adds its warnings."""

        async def attempt() -> StepDone:
            context = self.progress.context()
            if activity is None:
                return await run_locally(COMPLETE_ACTIVITY, OperationInput(operation=context), StepDone)
            request = self.request.model_dump(mode="json", by_alias=True)
            done: StepDone = await workflow.execute_activity(
                activity,
                FollowUpInput(operation=context, request=request),
                result_type=StepDone,
                start_to_close_timeout=STEP_TIMEOUT,
                retry_policy=SINGLE_ATTEMPT,
            )
            return done

        try:
            done = await self._retry(step, attempt, parks=False, is_cancellable=False)
        except StepFailedError as failure:
            if step is not None:
                self.progress.set_step(step, status=StepStatus.FAILED, finished_at=workflow.now())
            remedy = self._kind.remedy_of(step, self.progress.snapshot.tenant_id)
            detail = f"{failure.error.detail}; all before it is done, and {remedy}"
            self.progress.warn(OperationWarning(code=failure.error.code, detail=detail, step=step))
        else:
            if step is not None:
                self.progress.finish_step(step, done)

    async def _retry(
        self, step: str | None, attempt_once: Callable[[], Awaitable[ResultT]], *, parks: bool, is_cancellable: bool
    ) -> ResultT:
        """Make attempts until one succeeds, for as long as the failure policy says; then park, or give up.

        Raises `StepFailedError` if the error is final or the policy's time is over, and `OperationCancelledError`.
        """
        attempt = 0
        window: RetryWindow | None = None
        while True:
            await self._no_change_in_flight()
            if is_cancellable and self._is_cancelled:
                raise OperationCancelledError
            attempt += 1
            if step is not None:
                self.progress.start(step, attempt)
            try:
                return await attempt_once()
            except FailureError as error:
                failure = describe_failure(error, step)
            if failure.cancel is not None and is_cancellable:
                self.request_cancel(failure.cancel)
                continue
            failed_step = failure.error.step
            if failed_step is not None:
                status = StepStatus.FAILED if failure.is_final else StepStatus.RETRYING
                self.progress.fail_attempt(failed_step, attempt, status)
            if failure.is_final and not (self._is_closing or self._is_held):
                raise StepFailedError(failure.error)
            window = await self._wait(failure, window, parks=parks, is_cancellable=is_cancellable)
            # After the wait: an attempt that Temporal has given up on gets no further than that.
            self.progress.see_parameters(failure.parameters_version)

    async def _no_change_in_flight(self) -> None:
        """Wait for a change: it must reach the next attempt, and Temporal rejects an end while its activity runs."""
        await workflow.wait_condition(lambda: not (self._is_prepared and self._changing.locked()))

    async def _wait(
        self, failure: Failure, window: RetryWindow | None, *, parks: bool, is_cancellable: bool
    ) -> RetryWindow | None:
        """Wait for the next attempt, and return the window that it is part of, or None for a new one."""
        error = failure.error
        if window is None:
            window = RetryWindow(await read_failure_policy(), workflow.now(), self._kind.gives_up_after)
        # An operator has to remove the reason of a final error.
        delay = window.next_delay(workflow.now()) if self._is_closing or not failure.is_final else None
        if delay is not None:
            self._show_waiting(OperationStatus.RETRYING, error, next_try_at=workflow.now() + delay)
            return None if await self._woken(delay) else window
        if not parks:
            raise StepFailedError(error)
        # A row is closed whatever it takes: until then an attempt might still commit.
        timeout = window.policy.attention_timeout if is_cancellable and not self._is_held else None
        until = {"attention_deadline": workflow.now() + timeout} if timeout is not None else {}
        self._show_waiting(OperationStatus.NEEDS_ATTENTION, error, **until)
        if not await self._woken(timeout):
            raise StepFailedError(error)
        return None

    def _show_waiting(self, status: OperationStatus, error: OperationError, **until: Any) -> None:
        if not self._is_cancelled or self._is_closing:
            self.progress.publish(status=status, error=error, **until)

    async def _woken(self, within: timedelta | None) -> bool:
        """Return whether a resume or a cancel came within that time."""
        self._resumed = False
        is_cancellable = not self.is_ending
        try:
            await workflow.wait_condition(
                lambda: self._resumed or (is_cancellable and self._is_cancelled), timeout=within
            )
        except TimeoutError:
            return False
        return True

    async def _uninterrupted(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Await work that a cancel in Temporal must not interrupt: it becomes a cancellation of the operation."""
        task = asyncio.ensure_future(work)
        while True:
            try:
                # One shield lasts for one cancel: the waiting task can be cancelled again.
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                if task.cancelled():
                    raise
                self._cancelled_by_temporal = True
                self.request_cancel(Cancellation(reason=workflow.cancellation_reason()))
