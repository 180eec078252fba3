"""Problems as pages."""

from contextlib import suppress

import structlog
from starlette.requests import Request
from starlette.responses import Response

from app.database import DatabaseUnavailableError
from app.gateway.console.console_route import session_caller
from app.gateway.console.problems import SignInRequiredError
from app.gateway.console.rendering import PREFIX, page, url_of
from app.gateway.console.sign_in.returning import sign_in_path
from app.gateway.http.problems.problem import ProblemError, problem_response, title_of
from app.gateway.http.request_context import request_id_of

LIVE_PARTS = "text/event-stream"


def is_of_console(request: Request) -> bool:
    """Return whether a request is one of the console's."""
    path: str = request.scope["path"]
    return path == PREFIX or path.startswith(f"{PREFIX}/")


async def recognise_caller(request: Request) -> None:
    """Find the caller of the session, whom no route has identified, so that the page of a problem has a menu."""
    # Without a valid session the page has no menu.
    with suppress(ProblemError, DatabaseUnavailableError):
        request.state.caller = await session_caller(request)


def problem_page(request: Request, problem: ProblemError) -> Response:
    """Return the page of a problem; someone who is not signed in is led to the sign-in, and then back.

    A script that reads live parts gets the document of the API.
    """
    if request.headers.get("accept") == LIVE_PARTS:
        return problem_response(request, problem)
    structlog.contextvars.bind_contextvars(problem=problem.code)
    if isinstance(problem, SignInRequiredError):
        return Response(status_code=303, headers={"Location": url_of(request, sign_in_path(request))})
    response = page(
        request,
        "error.html",
        problem.status,
        problem=problem,
        title=title_of(problem.code),
        request_id=request_id_of(request),
    )
    response.headers.update(problem.headers)
    return response
