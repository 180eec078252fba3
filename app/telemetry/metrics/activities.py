"""Logs and measures every activity."""

import time
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from app.telemetry.metrics.archives import observe_archive
from app.telemetry.metrics.definitions import OPERATIONS_ENDED, STEP_DURATION, STEP_FAILURES
from workflows.operations.kinds import COMPLETE_ACTIVITY, KINDS
from workflows.operations.messages import Closure, Committed, OperationContext
from workflows.operations.statuses import OperationStatus, StepStatus

SUCCEEDED = "succeeded"
FAILED = "failed"
CANCELLED = "cancelled"
UNKNOWN_CODE = "internal-error"

log = structlog.get_logger(__name__)


class ActivityWatch(Interceptor):
    """Interceptor of a worker."""

    def __init__(self) -> None:
        """Begin the counters of all kinds with 0: a rate doesn't notice a first value of 1."""
        for kind in KINDS:
            for status in (OperationStatus.COMPLETED, OperationStatus.FAILED, OperationStatus.CANCELLED):
                OPERATIONS_ENDED.labels(kind, str(status))

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Return the interceptor of an activity."""
        return _WatchedActivity(next)


class _WatchedActivity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        step = activity.info().activity_type
        context = getattr(input.args[0], "operation", None) if input.args else None
        bound = {}
        if isinstance(context, OperationContext):
            bound = {"workflow_id": context.workflow_id, "tenant_id": str(context.snapshot.tenant_id)}
        started = time.perf_counter()
        outcome = CANCELLED
        with structlog.contextvars.bound_contextvars(**bound):
            try:
                result = await super().execute_activity(input)
                outcome = SUCCEEDED
            except Exception as error:
                outcome = FAILED
                _record_failure(step, error, time.perf_counter() - started)
                raise
            finally:
                STEP_DURATION.labels(step, outcome).observe(time.perf_counter() - started)
            if isinstance(context, OperationContext):
                _record_end(step, context, result)
            duration_ms = _milliseconds(time.perf_counter() - started)
            log.info("step", step=step, outcome=SUCCEEDED, duration_ms=duration_ms)
        return result


def _record_end(step: str, context: OperationContext, result: Any) -> None:
    """Count the operation if the activity has ended it."""
    status = None
    if isinstance(result, Committed):
        _observe_parts(result)
        is_complete = all(line.status is not StepStatus.PENDING for line in result.steps)
        status = OperationStatus.COMPLETED if is_complete else None
    elif isinstance(result, Closure):
        status = context.snapshot.status if result.committed is None else None
    elif step == COMPLETE_ACTIVITY:
        status = OperationStatus.COMPLETED
    if status is OperationStatus.COMPLETED and isinstance(result, Committed):
        observe_archive(context.snapshot.kind, result)
    if status is not None:
        OPERATIONS_ENDED.labels(context.snapshot.kind, str(status)).inc()


def _observe_parts(committed: Committed) -> None:
    """Observe the steps within a transaction."""
    for line in committed.steps:
        if line.started_at is not None and line.finished_at is not None:
            seconds = (line.finished_at - line.started_at).total_seconds()
            STEP_DURATION.labels(line.name, SUCCEEDED).observe(seconds)


def _record_failure(step: str, error: Exception, seconds: float) -> None:
    is_final = isinstance(error, ApplicationError) and error.non_retryable
    code = (error.type if isinstance(error, ApplicationError) else None) or UNKNOWN_CODE
    STEP_FAILURES.labels(step, code, str(is_final).lower()).inc()
    log.warning("step", step=step, outcome=FAILED, code=code, is_final=is_final, duration_ms=_milliseconds(seconds))


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
