"""Errors of activities, as Temporal and the outside are to see them: final or passing, and never with data."""

import functools
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import structlog
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.database.errors import classify
from workflows.operations.failures import CANCEL_REQUESTED, INTERNAL_ERROR
from workflows.operations.messages import Cancellation, FailureDetails

ArgumentsT = ParamSpec("ArgumentsT")
ResultT = TypeVar("ResultT")

log = structlog.get_logger(__name__)


class FinalError(Exception):
    """A step can't succeed however often it is tried.

    `code` names the kind of problem, `detail` says it to a person and holds no secret, and `field` names the
    request's field at fault where there is one.
    """

    def __init__(self, code: str, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field

    @property
    def details(self) -> FailureDetails:
        """The details that a workflow gets beside code and text."""
        return FailureDetails(field=self.field)


class CancelRequestedError(FinalError):
    """The operation was asked to stop before this step."""

    def __init__(self, request: Cancellation) -> None:
        super().__init__(CANCEL_REQUESTED, "the operation was asked to stop")
        self.request = request

    @property
    def details(self) -> FailureDetails:
        """Who asked, and why."""
        return FailureDetails(cancel=self.request)


def to_application_error(error: Exception, step: str | None = None) -> ApplicationError:
    """Return the error as it goes into a workflow's history, without a cause, because causes carry values of rows.

    `step` is the step that met it.
    """
    if isinstance(error, ApplicationError):
        return error
    if isinstance(error, FinalError):
        # An expected outcome, not a malfunction: the SDK then neither warns nor counts it as one.
        return ApplicationError(
            error.detail,
            error.details.model_copy(update={"step": step}),
            type=error.code,
            non_retryable=True,
            category=ApplicationErrorCategory.BENIGN,
        )
    details = FailureDetails(step=step)
    diagnosis = classify(error)
    if diagnosis is not None:
        known = diagnosis.known
        return ApplicationError(diagnosis.detail, details, type=known.code, non_retryable=known.is_final)
    return ApplicationError(f"unexpected {type(error).__name__}", details, type=INTERNAL_ERROR)


@contextmanager
def activity_errors(activity: str, step: Callable[[], str | None] = lambda: None) -> Iterator[None]:
    """Let nothing but `ApplicationError` out of the block, and log unexpected errors; `step` names the step."""
    try:
        yield
    except Exception as error:
        shown = to_application_error(error, step())
        if shown.type == INTERNAL_ERROR:
            log.exception("activity crashed", activity=activity)
        raise shown from None


def temporal_errors(
    method: Callable[ArgumentsT, Coroutine[Any, Any, ResultT]],
) -> Callable[ArgumentsT, Coroutine[Any, Any, ResultT]]:
    """Let an activity raise nothing but `ApplicationError`; see `activity_errors`."""

    @functools.wraps(method)
    async def wrapper(*args: ArgumentsT.args, **kwargs: ArgumentsT.kwargs) -> ResultT:
        with activity_errors(method.__name__):
            return await method(*args, **kwargs)

    return wrapper
