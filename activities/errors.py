"""The errors of activities: final or passing, and without data."""

import functools
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.database.errors import classify
from workflows.operations.failures import CANCEL_REQUESTED, INTERNAL_ERROR
from workflows.operations.messages import Cancellation, FailureDetails

ArgumentsT = ParamSpec("ArgumentsT")
ResultT = TypeVar("ResultT")

NOT_LOCAL = "not-local"

log = structlog.get_logger(__name__)


class FinalError(Exception):
    """A step failed in a way that no retry can change.

    `code` names the kind of error, `detail` explains it to a person and holds no secret, and `field` names the
    invalid field of the request, if there is one.
    """

    def __init__(self, code: str, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field

    @property
    def details(self) -> FailureDetails:
        """The details for the workflow, besides code and text."""
        return FailureDetails(field=self.field)


class PassingError(Exception):
    """A step failed in a way that time or an operator can put right.

    `code` names the kind of error, and `detail` explains it to a person and holds no secret.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class CancelRequestedError(FinalError):
    """The operation was cancelled before this step."""

    def __init__(self, cancellation: Cancellation) -> None:
        super().__init__(CANCEL_REQUESTED, "the operation was cancelled")
        self.cancellation = cancellation

    @property
    def details(self) -> FailureDetails:
        """The details for the workflow, with the cancellation."""
        return FailureDetails(cancel=self.cancellation)


def to_application_error(error: Exception, step: str | None = None) -> ApplicationError:
    """Return the error for a workflow's history, without a cause, because causes carry values of rows.

    `step` is the step that failed.
    """
    if isinstance(error, ApplicationError):
        return error
    if isinstance(error, FinalError):
        # Benign: the SDK neither logs nor counts an expected outcome.
        return ApplicationError(
            error.detail,
            error.details.model_copy(update={"step": step}),
            type=error.code,
            non_retryable=True,
            category=ApplicationErrorCategory.BENIGN,
        )
    details = FailureDetails(step=step)
    if isinstance(error, PassingError):
        return ApplicationError(error.detail, details, type=error.code)
    diagnosis = classify(error)
    if diagnosis is not None:
        known = diagnosis.known
        return ApplicationError(diagnosis.detail, details, type=known.code, non_retryable=known.is_final)
    return ApplicationError(f"unexpected {type(error).__name__}", details, type=INTERNAL_ERROR)


@contextmanager
def activity_errors(name: str, step: Callable[[], str | None] = lambda: None) -> Iterator[None]:
    """Raise only `ApplicationError`, and log unexpected errors; `step` returns the current step."""
    try:
        yield
    except Exception as error:
        shown = to_application_error(error, step())
        if shown.type == INTERNAL_ERROR:
            log.exception("activity crashed", activity=name)
        raise shown from None


def temporal_errors(
    method: Callable[ArgumentsT, Coroutine[Any, Any, ResultT]],
) -> Callable[ArgumentsT, Coroutine[Any, Any, ResultT]]:
    """Make an activity raise only `ApplicationError`, as `activity_errors`."""

    @functools.wraps(method)
    async def wrapper(*args: ArgumentsT.args, **kwargs: ArgumentsT.kwargs) -> ResultT:
        with activity_errors(method.__name__):
            return await method(*args, **kwargs)

    return wrapper


def local_only(
    method: Callable[ArgumentsT, Coroutine[Any, Any, ResultT]],
) -> Callable[ArgumentsT, Coroutine[Any, Any, ResultT]]:
    """Make an activity that trusts its workflow refuse to run as a regular one, which any workflow can schedule."""

    @functools.wraps(method)
    async def wrapper(*args: ArgumentsT.args, **kwargs: ArgumentsT.kwargs) -> ResultT:
        if activity.in_activity() and not activity.info().is_local:
            raise ApplicationError("this activity only runs as a local one", type=NOT_LOCAL, non_retryable=True)
        return await method(*args, **kwargs)

    return wrapper
