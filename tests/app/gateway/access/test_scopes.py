"""Each route checks its scope before the rest of the request."""

from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends

from app.auth.callers import Caller
from app.auth.scopes import DEFAULT_SCOPES, Scope
from app.gateway.access.authenticated_route import AuthenticatedRoute, UnscopedRouteError
from app.gateway.access.parameters import current_caller
from tests.app.gateway.requests import assert_problem, create
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import EVERYTHING, Keys

pytestmark = pytest.mark.anyio

PROBES = {"/livez", "/health", "/readyz", "/ready", "/startupz", "/metrics"}
# Routes for operations of every kind accept any of these scopes. The service then requires that of the kind.
ANY_SCOPE = {
    ("DELETE", "/operations/unknown"),
    ("PATCH", "/operations/unknown"),
    ("POST", "/operations/unknown/resume"),
}

Route = tuple[str, str, frozenset[Scope]]


async def routes(http: httpx.AsyncClient) -> list[Route]:
    """Return method, path and scopes of every route except probes, from the OpenAPI document."""
    document = (await http.get("/openapi.json")).json()
    return [
        (method.upper(), path.format_map(Places()), scopes_of(operation))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if path not in PROBES
    ]


class Places(dict[str, str]):
    """A value for every parameter of a path."""

    def __missing__(self, name: str) -> str:
        return "unknown"


def scopes_of(operation: dict[str, Any]) -> frozenset[Scope]:
    return frozenset(map(Scope, operation.get("x-required-scopes", [])))


async def send(gateway: RunningGateway, key: str, method: str, path: str) -> httpx.Response:
    async with gateway.client(**{"X-API-Key": key}) as http:
        return await http.request(method, path)


async def test_every_route_except_probes_requires_a_scope(http: httpx.AsyncClient) -> None:
    found = await routes(http)
    assert len(found) >= 12
    assert [route for route in found if not route[2]] == []


def test_a_route_without_a_scope_cannot_be_defined() -> None:
    router = APIRouter(route_class=AuthenticatedRoute)

    async def handler(caller: Annotated[Caller, Depends(current_caller)]) -> None:
        """Require no scope."""

    with pytest.raises(UnscopedRouteError, match="/open"):
        router.get("/open")(handler)


async def test_a_key_that_lacks_only_the_routes_scope_is_rejected(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys
) -> None:
    without = {scope: (await keys.create(scopes=EVERYTHING - {scope})).key for scope in Scope}
    for method, path, scopes in await routes(http):
        if (method, path) in ANY_SCOPE:
            continue
        for scope in scopes:
            response = await send(gateway, without[scope], method, path)
            assert_problem(response, 403, "scope-missing")
            assert scope in response.json()["detail"]


OF_KINDS = {
    Scope.TENANTS_CANCEL,
    Scope.TENANTS_MANAGE,
    Scope.TENANTS_SUSPEND,
    Scope.TENANTS_DELETE,
    Scope.TENANTS_EXPORT,
    Scope.TENANTS_RESTORE,
    Scope.TENANTS_CHANGE,
}


async def test_a_key_that_lacks_all_scopes_of_a_route_for_every_kind_is_rejected(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys
) -> None:
    found = {(method, path): scopes for method, path, scopes in await routes(http)}
    without = (await keys.create(scopes=EVERYTHING - OF_KINDS)).key
    own = [(await keys.create(scopes=frozenset({scope}))).key for scope in OF_KINDS]
    for method, path in ANY_SCOPE:
        assert found[method, path] == OF_KINDS
        assert_problem(await send(gateway, without, method, path), 403, "scope-missing")
        for key in own:
            assert (await send(gateway, key, method, path)).status_code in {404, 422}


async def test_a_key_with_only_the_routes_scope_is_accepted(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys
) -> None:
    found = await routes(http)
    own = {scopes: (await keys.create(scopes=scopes)).key for scopes in {route[2] for route in found}}
    for method, path, scopes in found:
        assert (await send(gateway, own[scopes], method, path)).status_code not in {401, 403}, (method, path)


async def test_the_scope_is_checked_before_the_body(gateway: RunningGateway, keys: Keys) -> None:
    key = (await keys.create(scopes=frozenset({Scope.TENANTS_READ}))).key
    async with gateway.client(**{"X-API-Key": key}) as http:
        for content, content_type in ((b"{", "application/json"), (b"x", "text/plain")):
            response = await http.post("/tenants", content=content, headers={"Content-Type": content_type})
            assert_problem(response, 403, "scope-missing")


async def test_a_key_without_the_scope_changes_nothing(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys
) -> None:
    created = await create(http)
    reader = (await keys.create(scopes=frozenset({Scope.TENANTS_READ}))).key
    for method, path in (("DELETE", ""), ("POST", "/resume"), ("PATCH", "")):
        response = await send(gateway, reader, method, f"/operations/{created['workflowId']}{path}")
        assert_problem(response, 403, "scope-missing")
    status = (await http.get(created["links"]["self"])).json()
    assert (status["status"], status["cancelledBy"]) == ("queued", None)


async def test_a_key_can_change_no_living_tenant_by_default() -> None:
    assert {"tenants:create", "tenants:read", "tenants:cancel", "tenants:manage"} == DEFAULT_SCOPES
