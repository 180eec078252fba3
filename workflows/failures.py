"""How a failed activity is read: whether it failed for good, and what to tell the outside."""

from dataclasses import dataclass

from temporalio.exceptions import ActivityError, ApplicationError, FailureError
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

from workflows.messages import CancelRequest, OperationError
from workflows.steps import Step

CANCEL_REQUESTED = "cancel-requested"

# Why a change of parameters is refused.
PARAMETER_REFUSED = "parameter-refused"
PARAMETER_USED = "parameter-used"
OPERATION_ENDING = "operation-ending"

# A step was kept from writing because it had not seen a change of parameters; its second detail is their version.
PARAMETERS_CHANGED = "parameters-changed"


@dataclass(frozen=True)
class Failure:
    """A failed try: final ones are rolled back, the others retried."""

    error: OperationError
    is_final: bool
    cancel: CancelRequest | None = None
    parameters_version: int | None = None


class StepFailedError(Exception):
    """A step failed for good."""

    def __init__(self, error: OperationError) -> None:
        super().__init__(error.detail)
        self.error = error


def describe_failure(failure: FailureError, step: Step | None) -> Failure:
    """What an activity's failure means.

    Activities raise an `ApplicationError` whose type is the problem's code, non-retryable where the error is
    final, and whose first detail, where there is one, names the field at fault. One that was kept from starting
    by a cancel says in its second who asked for it. A regular activity's arrives wrapped, a local one's as it is.
    """
    cause = failure.cause if isinstance(failure, ActivityError) else failure
    if isinstance(cause, ApplicationError):
        field, *more = cause.details or (None,)
        error = OperationError(code=cause.type or "internal-error", detail=cause.message, field=field, step=step)
        cancel = CancelRequest.model_validate(more[0]) if cause.type == CANCEL_REQUESTED else None
        version = int(more[0]) if cause.type == PARAMETERS_CHANGED else None
        return Failure(error, cause.non_retryable, cancel, version)
    if isinstance(cause, ActivityTimeoutError):
        error = OperationError(code="timeout", detail="the step did not finish in time", step=step)
        return Failure(error, is_final=False)
    error = OperationError(code="interrupted", detail=f"the step was interrupted: {type(cause).__name__}", step=step)
    return Failure(error, is_final=False)
