"""Status routes pass the same arguments to their endpoints as FastAPI."""

from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Security
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.gateway.access.authenticated_route import AuthenticatedRoute
from app.gateway.access.parameters import current_caller
from app.gateway.http.dependencies import service
from app.gateway.http.parameters import IfNoneMatch
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.parameters import WorkflowId
from app.gateway.operations.problems import OperationNotFoundError
from app.gateway.operations.routes import StatusRoute

pytestmark = pytest.mark.anyio

CALLER = Caller(identity="key:x", name="x", scopes=frozenset({Scope.TENANTS_READ}))
# FastAPI requires these in the scope.
STACKS = ("fastapi_middleware_astack", "fastapi_inner_astack", "fastapi_function_astack")


class FastAPIRoute(StatusRoute):
    """The same route without the shortcut."""

    handler = AuthenticatedRoute.handler


@pytest.fixture(params=[StatusRoute, FastAPIRoute])
def route(request: pytest.FixtureRequest) -> StatusRoute:
    """Return a route whose endpoint responds with its arguments."""
    router = APIRouter(route_class=request.param)

    @router.get("/{id}")  # noqa: FAST003 - it is in `WorkflowId`
    async def echo(
        caller: Annotated[Caller, Security(current_caller, scopes=[Scope.TENANTS_READ])],
        lookup: Annotated[OperationLookup, service(OperationLookup)],
        workflow_id: WorkflowId,
        if_none_match: IfNoneMatch,
    ) -> Response:
        return JSONResponse([caller.identity, lookup, workflow_id, if_none_match])

    (status_route,) = router.routes
    assert isinstance(status_route, StatusRoute)
    return status_route


async def call(route: StatusRoute, workflow_id: str, headers: list[tuple[bytes, bytes]]) -> Response:
    async with AsyncExitStack() as stack:
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": "/x",
            "path_params": {"id": workflow_id},
            "query_string": b"",
            "headers": headers,
            "app": SimpleNamespace(state=SimpleNamespace(services={OperationLookup: "the lookup"})),
            "state": {"caller": CALLER},
            **dict.fromkeys(STACKS, stack),
        }
        return await route.handler()(Request(scope))


async def test_an_endpoint_gets_the_same_arguments_as_from_fastapi(route: StatusRoute) -> None:
    tags = ['"a", W/"b"', "*"]
    response = await call(route, "tenant-creation ä", [(b"if-none-match", tag.encode()) for tag in tags])
    expected = JSONResponse([CALLER.identity, "the lookup", "tenant-creation ä", tags])
    assert response.body == expected.body


async def test_an_endpoint_gets_no_tags_without_the_header(route: StatusRoute) -> None:
    response = await call(route, "x", [])
    assert response.body == JSONResponse([CALLER.identity, "the lookup", "x", []]).body


@pytest.mark.parametrize("workflow_id", ["x" * 256, "a\0b"], ids=["too long", "with a NUL"])
async def test_an_impossible_id_is_not_found(route: StatusRoute, workflow_id: str) -> None:
    with pytest.raises(OperationNotFoundError):
        await call(route, workflow_id, [])
