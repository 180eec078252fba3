"""The route of the values that requests can have."""

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from app.gateway.access.authenticated_route import AuthenticatedRoute
from app.gateway.http.dependencies import service
from app.gateway.http.openapi import COMMON_PROBLEMS, CONDITIONAL, problems
from app.gateway.http.parameters import IfNoneMatch
from app.gateway.http.responses import conditional_response
from app.gateway.operations.parameters import Reader
from app.gateway.options.options import Options
from app.gateway.options.schemas import OptionsDocument

router = APIRouter(tags=["options"], route_class=AuthenticatedRoute, responses=problems(*COMMON_PROBLEMS))


@router.get("/options", summary="List the values of fields", response_model=OptionsDocument, responses=CONDITIONAL)
async def list_options(
    caller: Reader,  # noqa: ARG001 - names the scope
    options: Annotated[Options, service(Options)],
    if_none_match: IfNoneMatch,
) -> Response:
    """Return the products with their billing plans, add-ons, states, statuses, kinds, event types and scopes.

    It changes only with a release or a blueprint, so a client can keep it and ask again with `If-None-Match`.
    """
    return conditional_response(options.document, if_none_match)
