"""Pages that explain problems, which need no key. Programs get JSON if they ask for it."""

from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app.gateway.access.anonymous_requests import check_anonymous
from app.gateway.console.rendering import page
from app.gateway.http.parameters import if_none_match_lines
from app.gateway.http.problems.request_problems import PathNotFoundError
from app.gateway.http.responses import conditional_response
from app.gateway.problem_pages.explanations import ExplanationList, explanations

router = APIRouter(prefix="/problems", include_in_schema=False)


@router.get("")
async def list_problems(request: Request) -> Response:
    """Show all kinds of problems."""
    await check_anonymous(request)
    if _wants_json(request):
        return _json(request, ExplanationList(problems=tuple(explanations().values())))
    return _index(request)


@router.get("/{code}")
async def explain_problem(request: Request, code: Annotated[str, Path()]) -> Response:
    """Show what a problem means and what to do about it; 404 with all kinds if there is none with this code."""
    await check_anonymous(request)
    found = explanations().get(code)
    if _wants_json(request):
        if found is None:
            raise PathNotFoundError("No such problem; GET /problems lists all")
        return _json(request, found)
    if found is None:
        return _index(request, 404, unknown=code)
    return _vary(page(request, "problems/problem.html", problem=found, root=request.scope.get("root_path", "")))


def _wants_json(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return "json" in accept and "text/html" not in accept


def _json(request: Request, document: BaseModel) -> Response:
    return _vary(conditional_response(document, if_none_match_lines(request)))


def _index(request: Request, status: int = 200, unknown: str | None = None) -> Response:
    by_status = [
        (code, list(group)) for code, group in groupby(explanations().values(), key=lambda problem: problem.status)
    ]
    root = request.scope.get("root_path", "")
    return _vary(page(request, "problems/index.html", status, by_status=by_status, unknown=unknown, root=root))


def _vary(response: Response) -> Response:
    response.headers["Vary"] = "Accept"
    return response
