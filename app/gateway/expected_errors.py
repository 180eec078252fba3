"""Errors of services that are no problems yet: outages, and errors of activities."""

import structlog

from activities.errors import FinalError
from app.database import DatabaseUnavailableError
from app.gateway.http.problems.problem import Fault, ProblemError
from app.gateway.http.problems.request_problems import DatabaseOutageError, TemporalOutageError, WorkerOutageError
from app.gateway.operations.problems import OperationUnreadableError, problem_kind_of
from app.temporal.errors import TemporalUnavailableError, UnreadableOperationError, WorkerUnavailableError

EXPECTED_ERRORS = (
    ProblemError,
    FinalError,
    UnreadableOperationError,
    TemporalUnavailableError,
    WorkerUnavailableError,
    DatabaseUnavailableError,
)

log = structlog.get_logger(__name__)


def problem_of(error: Exception) -> ProblemError:
    """Return the problem that a caller gets for an expected error."""
    match error:
        case ProblemError():
            return error
        case FinalError():
            errors = [Fault(field=error.field, detail=error.detail)] if error.field is not None else None
            return problem_kind_of(error.code)(error.detail, errors=errors)
        case UnreadableOperationError():
            return OperationUnreadableError(error)
        case TemporalUnavailableError():
            log.warning("temporal is unavailable", reason=str(error))
            return TemporalOutageError()
        case WorkerUnavailableError():
            return WorkerOutageError()
        case _:
            return DatabaseOutageError()
