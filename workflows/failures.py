"""How a failed activity is read: whether it failed for good, and what to tell the outside."""

from dataclasses import dataclass

from temporalio.exceptions import ActivityError, ApplicationError, FailureError
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

from workflows.messages import OperationError
from workflows.steps import Step


@dataclass(frozen=True)
class Failure:
    """A failed try: final ones are rolled back, the others retried."""

    error: OperationError
    is_final: bool


class StepFailedError(Exception):
    """A step failed for good."""

    def __init__(self, error: OperationError) -> None:
        super().__init__(error.detail)
        self.error = error


def describe_failure(failure: FailureError, step: Step | None) -> Failure:
    """What an activity's failure means.

    Activities raise an `ApplicationError` whose type is the problem's code, non-retryable where the error is
    final, and whose first detail, where there is one, names the field at fault. A regular activity's arrives
    wrapped, a local one's as it is.
    """
    cause = failure.cause if isinstance(failure, ActivityError) else failure
    if isinstance(cause, ApplicationError):
        field = cause.details[0] if cause.details else None
        error = OperationError(code=cause.type or "internal-error", detail=cause.message, field=field, step=step)
        return Failure(error, is_final=cause.non_retryable)
    if isinstance(cause, ActivityTimeoutError):
        error = OperationError(code="timeout", detail="the step did not finish in time", step=step)
        return Failure(error, is_final=False)
    error = OperationError(code="interrupted", detail=f"the step was interrupted: {type(cause).__name__}", step=step)
    return Failure(error, is_final=False)
