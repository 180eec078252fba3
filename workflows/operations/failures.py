"""The errors of operations: their codes, and how failures of activities become errors."""

from dataclasses import dataclass

from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, FailureError
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

from workflows.operations.messages import Cancellation, FailureDetails, OperationError

# The codes of errors of operations and of rejected changes; `app.gateway.operations.problems` maps them to problems.
INVALID_REQUEST = "invalid-request"
OPERATION_IN_PROGRESS = "operation-in-progress"
CANCELLED = "cancelled"
CANCEL_REQUESTED = "cancel-requested"
OPERATION_CLOSED = "operation-closed"
OPERATION_ENDING = "operation-ending"
PARAMETER_REFUSED = "parameter-refused"
PARAMETER_USED = "parameter-used"
# The attempt missed a change of parameters.
PARAMETERS_CHANGED = "parameters-changed"
# The encrypted input of another run was sent again.
START_USED = "start-used"
# The workflow was ended in Temporal, not by its own code.
ENDED_OUTSIDE = "ended-outside"
INTERNAL_ERROR = "internal-error"
TIMEOUT = "timeout"
INTERRUPTED = "interrupted"

# The code of a warning: the cancel came after the commit.
CANCEL_TOO_LATE = "cancel-too-late"


@dataclass(frozen=True)
class Failure:
    """A failed attempt; a final failure ends the operation, any other is retried."""

    error: OperationError
    is_final: bool
    cancel: Cancellation | None = None
    parameters_version: int | None = None


class StepFailedError(Exception):
    """A step failed for good."""

    def __init__(self, error: OperationError) -> None:
        super().__init__(error.detail)
        self.error = error


class OperationCancelledError(Exception):
    """The operation was cancelled before its commit."""


def refusal(code: str, detail: str, field: str | None = None) -> ApplicationError:
    """Return the final error of a request that the workflow rejects."""
    return ApplicationError(detail, field, type=code, non_retryable=True)


def describe_failure(failure: FailureError, step: str | None) -> Failure:
    """Return the failure of an activity; `step` is shown if the failure names none.

    Activities raise an `ApplicationError` whose type is the error's code, non-retryable if the error is final, with
    `FailureDetails` as its only detail. That of a regular activity arrives wrapped, as that of a child workflow does,
    and that of a local one as it is.
    """
    cause = failure.cause if isinstance(failure, ActivityError | ChildWorkflowError) else failure
    if isinstance(cause, ApplicationError):
        details = FailureDetails.model_validate(cause.details[0]) if cause.details else FailureDetails()
        error = OperationError(
            code=cause.type or INTERNAL_ERROR, detail=cause.message, field=details.field, step=details.step or step
        )
        return Failure(error, cause.non_retryable, details.cancel, details.parameters_version)
    if isinstance(cause, ActivityTimeoutError):
        error = OperationError(code=TIMEOUT, detail="the step did not finish in time", step=step)
    else:
        detail = f"the step was interrupted: {type(cause).__name__}"
        error = OperationError(code=INTERRUPTED, detail=detail, step=step)
    return Failure(error, is_final=False)
