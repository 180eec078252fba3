"""Watches activities: one line in the log and a few numbers for each, so that none has to think of it itself."""

import time
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from app.metrics.definitions import OPERATIONS_ENDED, ROLLBACK_DURATION, STEP_DURATION, STEP_FAILURES
from workflows.messages import OperationContext, OperationStatus, RollBackInput, RollBackResult
from workflows.steps import ROLL_BACK_ACTIVITY, STEP_ACTIVITIES, TENANT_CREATION, Step

SUCCEEDED = "succeeded"
FAILED = "failed"
CANCELLED = "cancelled"
UNKNOWN_CODE = "internal-error"
STEP_NAMES = {name: str(step) for step, name in STEP_ACTIVITIES.items()}

log = structlog.get_logger(__name__)


class ActivityWatch(Interceptor):
    """Goes into a worker's `interceptors`."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Put the watch before the activity."""
        return _WatchedActivity(next)


class _WatchedActivity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        name = activity.info().activity_type
        step = STEP_NAMES.get(name, name)
        argument = input.args[0] if input.args else None
        context = getattr(argument, "operation", None)
        bound = _ids(context) if isinstance(context, OperationContext) else {}
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
            _succeeded(step, argument, result, time.perf_counter() - started)
        return result


def _ids(context: OperationContext) -> dict[str, str]:
    return {"workflow_id": context.workflow_id, "tenant_id": str(context.tenant_id)}


def _succeeded(step: str, argument: Any, result: Any, seconds: float) -> None:
    _observe(step, SUCCEEDED, seconds)
    if step == Step.COMPLETING:
        OPERATIONS_ENDED.labels(TENANT_CREATION, str(OperationStatus.COMPLETED)).inc()
    elif isinstance(argument, RollBackInput) and isinstance(result, RollBackResult) and result.completed is None:
        OPERATIONS_ENDED.labels(argument.operation.kind, str(argument.outcome)).inc()
    log.info("step", step=step, outcome=SUCCEEDED, duration_ms=_milliseconds(seconds))


def _failed(step: str, error: Exception, seconds: float) -> None:
    _observe(step, FAILED, seconds)
    is_final = isinstance(error, ApplicationError) and error.non_retryable
    code = (error.type if isinstance(error, ApplicationError) else None) or UNKNOWN_CODE
    STEP_FAILURES.labels(step, code, str(is_final).lower()).inc()
    log.warning("step", step=step, outcome=FAILED, code=code, is_final=is_final, duration_ms=_milliseconds(seconds))


def _observe(step: str, outcome: str, seconds: float) -> None:
    if step == ROLL_BACK_ACTIVITY:
        ROLLBACK_DURATION.labels(outcome).observe(seconds)
    else:
        STEP_DURATION.labels(step, outcome).observe(seconds)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
