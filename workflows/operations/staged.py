"""The lifecycle of an operation whose steps before the commit change something, and are undone by a cancel.

After the first of these steps only the commit or the undo ends the operation: an error waits for an operator without
limit, because the tenant would otherwise stay as the steps have left it.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.operations.lifecycle import Lifecycle, OperationCancelledError, RequestT
    from workflows.operations.messages import OperationError
    from workflows.operations.statuses import OperationStatus, StepStatus

ResultT = TypeVar("ResultT")


class StagedLifecycle(Lifecycle[RequestT]):
    """An operation with steps and waits before its transaction; `prepare` of `run` goes through them."""

    async def step(self, name: str, attempt_once: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Run a step until it succeeds; raises `OperationCancelledError`."""
        result = await self._retry(name, attempt_once, parks=True, is_cancellable=True)
        self._is_held = True
        self.progress.finish_step(name)
        return result

    def skip(self, name: str) -> None:
        """Show a step that was not requested."""
        self.progress.set_step(name, status=StepStatus.SKIPPED)

    async def wait(
        self, name: str, status: OperationStatus, is_over: Callable[[], bool], *, until: datetime | None
    ) -> bool:
        """Wait in this status; False if the condition was not met by that time. Raises `OperationCancelledError`."""
        self._check_cancel()
        self.progress.start(name, 1)
        is_waiting = status is OperationStatus.WAITING
        self.progress.publish(
            status=status,
            next_try_at=until if is_waiting else None,
            attention_deadline=until if not is_waiting else None,
        )
        timeout = max(until - workflow.now(), until - until) if until is not None else None
        try:
            await workflow.wait_condition(lambda: is_over() or self._is_cancelled, timeout=timeout)
        except TimeoutError:
            return False
        self._check_cancel()
        return True

    async def park(self, error: OperationError, is_over: Callable[[], bool]) -> None:
        """Wait for an operator without limit, or until the condition is met; raises `OperationCancelledError`."""
        self._resumed = False
        self.progress.publish(status=OperationStatus.NEEDS_ATTENTION, error=error)
        await workflow.wait_condition(lambda: is_over() or self._resumed or self._is_cancelled)
        self._check_cancel()

    def _check_cancel(self) -> None:
        if self._is_cancelled:
            raise OperationCancelledError
