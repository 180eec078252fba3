"""Watches activities: one line in the log and a few numbers for each, so that none has to think of it itself."""

import time
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from app.telemetry.metrics.definitions import OPERATIONS_ENDED, STEP_DURATION, STEP_FAILURES
from workflows.operations.kinds import COMPLETE_ACTIVITY
from workflows.operations.messages import Closure, Committed, OperationContext, OperationStatus, StepStatus

SUCCEEDED = "succeeded"
FAILED = "failed"
CANCELLED = "cancelled"
UNKNOWN_CODE = "internal-error"

log = structlog.get_logger(__name__)


class ActivityWatch(Interceptor):
    """Goes into a worker's `interceptors`."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Put the watch before the activity."""
        return _WatchedActivity(next)


class _WatchedActivity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        step = activity.info().activity_type
        argument = input.args[0] if input.args else None
        context = getattr(argument, "operation", None)
        context = context if isinstance(context, OperationContext) else None
        bound = _ids(context) if context is not None else {}
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(**bound):
            try:
                result = await super().execute_activity(input)
            except Exception as error:
                _failed(step, error, time.perf_counter() - started)
                raise
            except BaseException:
                _observe(step, CANCELLED, time.perf_counter() - started)
                raise
            _succeeded(step, context, result, time.perf_counter() - started)
        return result


def _ids(context: OperationContext) -> dict[str, str]:
    return {"workflow_id": context.workflow_id, "tenant_id": str(context.snapshot.tenant_id)}


def _succeeded(step: str, context: OperationContext | None, result: Any, seconds: float) -> None:
    _observe(step, SUCCEEDED, seconds)
    if context is not None and (ended_as := _ended_as(step, context, result)) is not None:
        OPERATIONS_ENDED.labels(context.snapshot.kind, str(ended_as)).inc()
    log.info("step", step=step, outcome=SUCCEEDED, duration_ms=_milliseconds(seconds))


def _ended_as(step: str, context: OperationContext, result: Any) -> OperationStatus | None:
    """How the activity has ended the operation, or None if it goes on."""
    if isinstance(result, Committed):
        _observe_parts(result)
        is_complete = all(line.status is not StepStatus.PENDING for line in result.steps)
        return OperationStatus.COMPLETED if is_complete else None
    if isinstance(result, Closure):
        return context.snapshot.status if result.committed is None else None
    return OperationStatus.COMPLETED if step == COMPLETE_ACTIVITY else None


def _observe_parts(committed: Committed) -> None:
    """Count the parts of a transaction like the steps that they are."""
    for line in committed.steps:
        if line.started_at is not None and line.finished_at is not None:
            _observe(line.name, SUCCEEDED, (line.finished_at - line.started_at).total_seconds())


def _failed(step: str, error: Exception, seconds: float) -> None:
    _observe(step, FAILED, seconds)
    is_final = isinstance(error, ApplicationError) and error.non_retryable
    code = (error.type if isinstance(error, ApplicationError) else None) or UNKNOWN_CODE
    STEP_FAILURES.labels(step, code, str(is_final).lower()).inc()
    log.warning("step", step=step, outcome=FAILED, code=code, is_final=is_final, duration_ms=_milliseconds(seconds))


def _observe(step: str, outcome: str, seconds: float) -> None:
    STEP_DURATION.labels(step, outcome).observe(seconds)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
