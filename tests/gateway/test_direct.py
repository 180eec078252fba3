"""Handlers that are called directly get what FastAPI would have given them."""

from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Security
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.gateway.dependencies import (
    IdempotencyKey,
    IfNoneMatch,
    ServicesDep,
    WorkflowId,
    current_caller,
)
from app.gateway.direct import Handler, direct_handler
from app.gateway.operation_problems import OperationNotFoundError
from app.gateway.routes import operations, tenants

pytestmark = pytest.mark.anyio

CALLER = Caller(identity="key:x", name="x", scopes=frozenset({Scope.TENANTS_READ}))

# Where FastAPI's own layers leave what is to be closed after a request.
STACKS = ("fastapi_middleware_astack", "fastapi_inner_astack", "fastapi_function_astack")

Seen = tuple[Caller, Any, str, list[str]]


def handlers_of(route: APIRoute) -> list[Handler]:
    """What calls the route's handler directly, and what FastAPI calls it by."""
    directly = direct_handler(route.dependant)
    assert directly is not None
    return [directly, route.get_route_handler()]


async def call(handle: Handler, workflow_id: str, headers: list[tuple[bytes, bytes]]) -> None:
    async with AsyncExitStack() as stack:
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/x",
            "path_params": {"id": workflow_id},
            "query_string": b"",
            "headers": headers,
            "app": SimpleNamespace(state=SimpleNamespace(services="the services")),
            "state": {"caller": CALLER},
            **dict.fromkeys(STACKS, stack),
        }
        await handle(Request(scope))


@pytest.fixture
def seen() -> list[Seen]:
    return []


@pytest.fixture
def route(seen: list[Seen]) -> APIRoute:
    """A route whose handler takes all that has a reader, and notes what it gets."""
    router = APIRouter()

    @router.get("/{id}")  # noqa: FAST003 - the dependency takes it
    async def note(
        caller: Annotated[Caller, Security(current_caller, scopes=[Scope.TENANTS_READ])],
        services: ServicesDep,
        workflow_id: WorkflowId,
        if_none_match: IfNoneMatch,
    ) -> Response:
        seen.append((caller, services, workflow_id, if_none_match))
        return JSONResponse(None)

    [made] = router.routes
    assert isinstance(made, APIRoute)
    return made


async def test_what_is_read_directly_is_what_fastapi_reads(route: APIRoute, seen: list[Seen]) -> None:
    tags = ['"a", W/"b"', "*"]
    for handle in handlers_of(route):
        await call(handle, "tenant-creation ä", [(b"if-none-match", tag.encode()) for tag in tags])
        await call(handle, "x", [])
    once = [(CALLER, "the services", "tenant-creation ä", tags), (CALLER, "the services", "x", [])]
    assert seen == once * 2


@pytest.mark.parametrize("workflow_id", ["x" * 256, "a\0b"], ids=["too long", "with a NUL"])
async def test_an_impossible_id_is_refused_either_way(route: APIRoute, seen: list[Seen], workflow_id: str) -> None:
    for handle in handlers_of(route):
        with pytest.raises(OperationNotFoundError):
            await call(handle, workflow_id, [])
    assert seen == []


def test_a_status_is_read_directly_and_what_takes_more_is_not() -> None:
    known = [*tenants.router.routes, *operations.router.routes]
    routes = {route.name: route for route in known if isinstance(route, APIRoute)}
    assert direct_handler(routes["read_status"].dependant) is not None
    assert direct_handler(routes["read_operation"].dependant) is not None
    assert direct_handler(routes["create_tenant"].dependant) is None
    assert direct_handler(routes["follow_operation"].dependant) is None


def test_a_parameter_without_a_reader_is_left_to_fastapi() -> None:
    router = APIRouter()

    @router.get("/")
    async def handle(services: ServicesDep, key: IdempotencyKey) -> Response:  # noqa: ARG001 - never called
        return Response()

    [made] = router.routes
    assert isinstance(made, APIRoute)
    assert direct_handler(made.dependant) is None
