"""Reads failures of activities: whether one is final, and what to show of it."""

from dataclasses import dataclass

from temporalio.exceptions import ActivityError, ApplicationError, FailureError
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

from workflows.operations.messages import CancelRequest, FailureDetails, OperationError

CANCEL_REQUESTED = "cancel-requested"
INVALID_REQUEST = "invalid-request"
# Somebody has sent again what the history of another run holds.
START_USED = "start-used"

# Why a change of parameters is refused.
PARAMETER_REFUSED = "parameter-refused"
PARAMETER_USED = "parameter-used"
OPERATION_ENDING = "operation-ending"

# An attempt did not write because it had not seen a change of parameters.
PARAMETERS_CHANGED = "parameters-changed"


@dataclass(frozen=True)
class Failure:
    """A failed attempt: final ones end the operation, the others are retried."""

    error: OperationError
    is_final: bool
    cancel: CancelRequest | None = None
    parameters_version: int | None = None


class StepFailedError(Exception):
    """A step failed for good."""

    def __init__(self, error: OperationError) -> None:
        super().__init__(error.detail)
        self.error = error


def describe_failure(failure: FailureError, step: str | None) -> Failure:
    """Return what an activity's failure means; `step` is shown if the failure names none.

    Activities raise an `ApplicationError` whose type is the problem's code, non-retryable if the error is final, with
    `FailureDetails` as its only detail. A regular activity's arrives wrapped, a local one's as it is.
    """
    cause = failure.cause if isinstance(failure, ActivityError) else failure
    if isinstance(cause, ApplicationError):
        details = FailureDetails.model_validate(cause.details[0]) if cause.details else FailureDetails()
        error = OperationError(
            code=cause.type or "internal-error",
            detail=cause.message,
            field=details.field,
            step=details.step or step,
        )
        return Failure(error, cause.non_retryable, details.cancel, details.parameters_version)
    if isinstance(cause, ActivityTimeoutError):
        error = OperationError(code="timeout", detail="the step did not finish in time", step=step)
        return Failure(error, is_final=False)
    error = OperationError(code="interrupted", detail=f"the step was interrupted: {type(cause).__name__}", step=step)
    return Failure(error, is_final=False)
