"""The lifecycle of an operation whose steps before the commit change something, and are undone by a cancel.

After the first of these steps only the commit or the undo ends the operation: an error waits for an operator without
limit, because the tenant would otherwise stay as the steps have left it.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.operations.failures import OperationCancelledError
    from workflows.operations.lifecycle import Lifecycle, RequestT
    from workflows.operations.messages import OperationError
    from workflows.operations.statuses import OperationStatus, StepStatus

ResultT = TypeVar("ResultT")

# A wait looks at the database this often, in case the signal that should have woken it was lost.
RECHECK_INTERVAL = timedelta(days=1)


class StagedLifecycle(Lifecycle[RequestT]):
    """An operation with steps and waits before its transaction; `prepare` of `run` goes through them.

    All methods raise `OperationCancelledError`.
    """

    _is_awake = False
    _is_looking = False

    @property
    def is_cancelled(self) -> bool:
        """Whether the operation is to stop."""
        return self._is_cancelled

    def wake(self) -> None:
        """Let a wait look again whether it is over."""
        self._is_awake = True
        if self._is_looking:
            self.request_resume()

    async def step(self, name: str, attempt_once: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Run a step until it succeeds."""
        result = await self.read(name, attempt_once)
        self._is_held = True
        self.progress.finish_step(name)
        return result

    async def read(self, name: str, attempt_once: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Run a part of a step until it succeeds."""
        return await self._retry(name, attempt_once, parks=True, is_cancellable=True)

    def skip(self, name: str) -> None:
        """Show a step that was not requested."""
        self.progress.set_step(name, status=StepStatus.SKIPPED)

    async def wait(
        self, name: str, status: OperationStatus, is_over: Callable[[], Awaitable[bool]], *, until: datetime
    ) -> bool:
        """Wait in this status; False if `is_over` does not hold by that time."""
        self.progress.start(name, 1)
        while True:
            self._is_awake = self._resumed = False
            if await self._look(is_over):
                return True
            left = until - workflow.now()
            if left <= timedelta(0):
                return False
            shown = "next_try_at" if status is OperationStatus.WAITING else "attention_deadline"
            await self._wait_awake(min(left, RECHECK_INTERVAL), status=status, error=None, **{shown: until})

    async def park(self, error: OperationError, is_over: Callable[[], Awaitable[bool]] | None = None) -> None:
        """Wait without limit for an operator, or until `is_over` holds."""
        within = RECHECK_INTERVAL if is_over is not None else None
        self._resumed = False
        while not self._resumed:
            self._is_awake = False
            if is_over is not None and await self._look(is_over):
                return
            await self._wait_awake(within, status=OperationStatus.NEEDS_ATTENTION, error=error)

    async def _look(self, is_over: Callable[[], Awaitable[bool]]) -> bool:
        self._is_looking = True
        try:
            return await is_over()
        finally:
            self._is_looking = False

    async def _woken(self, within: timedelta | None) -> bool:
        """Wait as `Lifecycle` does, but repeat a parked look at the row, which may have a confirmation by now."""
        if not self._is_looking:
            return await super()._woken(within)
        is_woken = await super()._woken(RECHECK_INTERVAL if within is None else within)
        # The resume was for the look, not for the wait around it.
        self._resumed = False
        return is_woken or within is None

    async def _wait_awake(self, within: timedelta | None, **shown: Any) -> None:
        """Wait for a signal within that time, and show these changes meanwhile."""
        if not self._is_cancelled:
            self.progress.publish(**shown)
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._is_awake or self._resumed or self._is_cancelled, timeout=within
            )
        if self._is_cancelled:
            raise OperationCancelledError
