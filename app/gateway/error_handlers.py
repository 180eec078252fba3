"""Turns every error that reaches the edge into a problem document."""

from http import HTTPMethod, HTTPStatus

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from app.gateway.anonymous_requests import check_anonymous
from app.gateway.database import DatabaseUnavailableError
from app.gateway.problems import ProblemError, outage, problem_response
from app.gateway.validation import validation_problem
from app.temporal.errors import TemporalUnavailableError, UnreadableOperationError, WorkerUnavailableError

log = structlog.get_logger(__name__)


def install_error_handlers(app: FastAPI) -> None:
    """Answer errors with problems; what is not named here is a crash, and the outermost layer's."""
    app.exception_handler(ProblemError)(_problem)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_framework)
    app.exception_handler(UnreadableOperationError)(_unreadable)
    app.exception_handler(TemporalUnavailableError)(_temporal_away)
    app.exception_handler(WorkerUnavailableError)(_worker_away)
    app.exception_handler(DatabaseUnavailableError)(_database_away)


def crash_response(request: Request) -> Response:
    """The answer to a crash, which says nothing but how to find it in the log."""
    detail = "the gateway failed; quote the request id when asking for help"
    return problem_response(request, ProblemError(500, "internal-error", detail))


async def _problem(request: Request, error: ProblemError) -> Response:
    return problem_response(request, error)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    return problem_response(request, validation_problem(request, error))


async def _temporal_away(request: Request, error: TemporalUnavailableError) -> Response:
    log.warning("temporal is unavailable", reason=str(error))
    detail = "Temporal does not answer; try again, a creation with the same Idempotency-Key if it had one"
    return problem_response(request, outage("temporal-unavailable", detail))


async def _unreadable(request: Request, error: UnreadableOperationError) -> Response:
    detail = f"Temporal has the operation, but it can't be read: {error}"
    return problem_response(request, ProblemError(502, "operation-unreadable", detail))


async def _worker_away(request: Request, _error: WorkerUnavailableError) -> Response:
    detail = "no worker took the change in time, but one may yet; look again, and repeat it if it was not made"
    return problem_response(request, outage("worker-unavailable", detail))


async def _database_away(request: Request, _error: DatabaseUnavailableError) -> Response:
    return problem_response(request, outage("database-unavailable", "the database does not answer; try again"))


async def _framework(request: Request, error: HTTPException) -> Response:
    """What Starlette and FastAPI refuse by themselves: unknown paths and methods, bodies that can't be read."""
    if error.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        try:
            await check_anonymous(request)
        except ProblemError as problem:
            return problem_response(request, problem)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return problem_response(request, _method_not_allowed(request))
    if error.status_code == HTTPStatus.NOT_FOUND:
        return problem_response(request, ProblemError(404, "not-found", "there is nothing at this path"))
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return problem_response(request, ProblemError(400, "malformed-json", "the body is not JSON in UTF-8"))
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "-")
    return problem_response(request, ProblemError(status, code, status.description, headers=error.headers))


def _method_not_allowed(request: Request) -> ProblemError:
    # Starlette names the methods of one route only, and two routes may share a path.
    allowed = [
        method
        for method in HTTPMethod
        if any(
            route.matches({**request.scope, "method": method.value})[0] is Match.FULL for route in request.app.routes
        )
    ]
    names = ", ".join(allowed)
    return ProblemError(405, "method-not-allowed", f"this path takes {names}", headers={"Allow": names})
