"""Turns every error of a request into a problem document."""

from http import HTTPMethod, HTTPStatus

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from app.database import DatabaseUnavailableError
from app.gateway.access.anonymous_requests import check_anonymous
from app.gateway.http.problems.problem import ProblemError, problem_response
from app.gateway.http.problems.request_problems import (
    DatabaseOutageError,
    FrameworkError,
    InternalError,
    MalformedJsonError,
    MethodNotAllowedError,
    PathNotFoundError,
    TemporalOutageError,
    WorkerOutageError,
)
from app.gateway.http.problems.validation import validation_problem
from app.gateway.operations.problems import OperationUnreadableError
from app.temporal.errors import TemporalUnavailableError, UnreadableOperationError, WorkerUnavailableError

log = structlog.get_logger(__name__)


def install_error_handlers(app: FastAPI) -> None:
    """Install a handler for each expected error. Any other error is a crash, which the outermost layer handles."""
    app.exception_handler(ProblemError)(_problem)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_framework_error)
    app.exception_handler(UnreadableOperationError)(_unreadable)
    app.exception_handler(TemporalUnavailableError)(_temporal_unavailable)
    app.exception_handler(WorkerUnavailableError)(_worker_unavailable)
    app.exception_handler(DatabaseUnavailableError)(_database_unavailable)


def crash_response(request: Request) -> Response:
    """Return the response to a crash. Its details are only in the log."""
    return problem_response(request, InternalError())


async def _problem(request: Request, error: ProblemError) -> Response:
    return problem_response(request, error)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    return problem_response(request, validation_problem(request, error))


async def _temporal_unavailable(request: Request, error: TemporalUnavailableError) -> Response:
    log.warning("temporal is unavailable", reason=str(error))
    return problem_response(request, TemporalOutageError())


async def _unreadable(request: Request, error: UnreadableOperationError) -> Response:
    return problem_response(request, OperationUnreadableError(error))


async def _worker_unavailable(request: Request, _error: WorkerUnavailableError) -> Response:
    return problem_response(request, WorkerOutageError())


async def _database_unavailable(request: Request, _error: DatabaseUnavailableError) -> Response:
    return problem_response(request, DatabaseOutageError())


async def _framework_error(request: Request, error: HTTPException) -> Response:
    """Respond to what Starlette and FastAPI reject: unknown paths and methods, and unreadable bodies."""
    if error.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        try:
            await check_anonymous(request)
        except ProblemError as problem:
            return problem_response(request, problem)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return problem_response(request, _method_not_allowed(request))
    if error.status_code == HTTPStatus.NOT_FOUND:
        return problem_response(request, PathNotFoundError())
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return problem_response(request, MalformedJsonError())
    return problem_response(request, FrameworkError(HTTPStatus(error.status_code), error.headers))


def _method_not_allowed(request: Request) -> ProblemError:
    # Starlette names the methods of one route only, and two routes may share a path.
    allowed = [
        method
        for method in HTTPMethod
        if any(
            route.matches({**request.scope, "method": method.value})[0] is Match.FULL for route in request.app.routes
        )
    ]
    return MethodNotAllowedError(allowed)
