"""Turns every error of a request into a problem document."""

from http import HTTPMethod, HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from app.gateway.access.anonymous_requests import check_anonymous
from app.gateway.console.errors import is_of_console, problem_page, recognise_caller
from app.gateway.expected_errors import EXPECTED_ERRORS, problem_of
from app.gateway.http.problems.problem import ProblemError, problem_response
from app.gateway.http.problems.request_problems import (
    FrameworkError,
    MalformedJsonError,
    MethodNotAllowedError,
    PathNotFoundError,
)
from app.gateway.http.problems.validation import validation_problem


def install_error_handlers(app: FastAPI) -> None:
    """Install a handler for each expected error. Any other error is a crash, which `CrashMiddleware` handles."""
    for kind in (RequestValidationError, HTTPException, *EXPECTED_ERRORS):
        app.exception_handler(kind)(_respond)


async def _respond(request: Request, error: Exception) -> Response:
    match error:
        case RequestValidationError():
            problem = validation_problem(request, error)
        case HTTPException():
            problem = await _framework_problem(request, error)
            if is_of_console(request):
                await recognise_caller(request)
        case _:
            problem = problem_of(error)
    return respond_to(request, problem)


def respond_to(request: Request, problem: ProblemError) -> Response:
    """Return a problem as a page to a person who uses the console, and as a document to a program."""
    return problem_page(request, problem) if is_of_console(request) else problem_response(request, problem)


async def _framework_problem(request: Request, error: HTTPException) -> ProblemError:
    """Return the problem for what Starlette and FastAPI reject: unknown paths and methods, and malformed bodies."""
    if error.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        try:
            await check_anonymous(request)
        except ProblemError as limit:
            return limit
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return PathNotFoundError()
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return _method_not_allowed(request)
        case HTTPStatus.BAD_REQUEST:
            return MalformedJsonError()
        case status:
            return FrameworkError(HTTPStatus(status), error.headers)


def _method_not_allowed(request: Request) -> ProblemError:
    # A path without parameters, such as /operations/counts, also matches that of another resource.
    documented = request.app.openapi()["paths"].get(request.scope["path"])
    if documented is not None:
        return MethodNotAllowedError([method for method in HTTPMethod if method.lower() in documented])
    # Starlette lists the methods of one route only, but two routes may share a path.
    allowed = [
        method
        for method in HTTPMethod
        if any(
            route.matches({**request.scope, "method": method.value})[0] is Match.FULL for route in request.app.routes
        )
    ]
    return MethodNotAllowedError(allowed)
