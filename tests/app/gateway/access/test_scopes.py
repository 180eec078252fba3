"""Each route asks for its scope, before anything else of the request is looked at."""

from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends

from app.auth.callers import Caller
from app.auth.scopes import DEFAULT_SCOPES, Scope
from app.gateway.access.parameters import current_caller
from app.gateway.access.route import AuthenticatedRoute, UnscopedRouteError
from tests.app.gateway.requests import assert_problem, create
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import EVERYTHING, Keys

pytestmark = pytest.mark.anyio

PROBES = {"/livez", "/health", "/readyz", "/ready", "/startupz", "/metrics"}
# For operations of every kind: any of the scopes will do to get further, where the kind's own one is asked for.
ANY_SCOPE = {
    ("DELETE", "/operations/unknown"),
    ("PATCH", "/operations/unknown"),
    ("POST", "/operations/unknown/resume"),
}

Route = tuple[str, str, frozenset[Scope]]


async def routes(http: httpx.AsyncClient) -> list[Route]:
    """Method, path and scopes of every route but the probes, as the OpenAPI document has them."""
    document = (await http.get("/openapi.json")).json()
    return [
        (method.upper(), path.format_map(Places()), scopes_of(operation))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if path not in PROBES
    ]


class Places(dict[str, str]):
    """Gives any parameter of a path a value."""

    def __missing__(self, name: str) -> str:
        return "unknown"


def scopes_of(operation: dict[str, Any]) -> frozenset[Scope]:
    alternatives = [scopes for way in operation.get("security", []) for scopes in way.values()]
    assert all(set(scopes) == set(alternatives[0]) for scopes in alternatives)
    return frozenset(Scope(scope) for scope in alternatives[0]) if alternatives else frozenset()


async def ask(gateway: RunningGateway, key: str, method: str, path: str) -> httpx.Response:
    async with gateway.client(**{"X-API-Key": key}) as http:
        return await http.request(method, path)


async def test_every_route_but_the_probes_names_a_scope(http: httpx.AsyncClient) -> None:
    found = await routes(http)
    assert len(found) >= 12
    assert [route for route in found if not route[2]] == []


def test_a_route_without_a_scope_cannot_be_made() -> None:
    router = APIRouter(route_class=AuthenticatedRoute)

    async def handler(caller: Annotated[Caller, Depends(current_caller)]) -> None:
        """Know who calls, and ask for nothing."""

    with pytest.raises(UnscopedRouteError, match="/open"):
        router.get("/open")(handler)


async def test_a_key_that_lacks_only_a_routes_scope_is_refused_there(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys
) -> None:
    without = {scope: (await keys.create(scopes=EVERYTHING - {scope})).key for scope in Scope}
    for method, path, scopes in await routes(http):
        if (method, path) in ANY_SCOPE:
            continue
        for scope in scopes:
            answer = await ask(gateway, without[scope], method, path)
            assert_problem(answer, 403, "scope-missing")
            assert scope in answer.json()["detail"]


async def test_a_key_that_lacks_all_scopes_of_a_route_for_every_kind_is_refused_there(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys
) -> None:
    found = {(method, path): scopes for method, path, scopes in await routes(http)}
    for method, path in ANY_SCOPE:
        scopes = found[method, path]
        assert scopes == {Scope.TENANTS_CANCEL, Scope.TENANTS_MANAGE}
        without = (await keys.create(scopes=EVERYTHING - scopes)).key
        assert_problem(await ask(gateway, without, method, path), 403, "scope-missing")
        for scope in scopes:
            key = (await keys.create(scopes=frozenset({scope}))).key
            assert (await ask(gateway, key, method, path)).status_code in {404, 422}


async def test_a_key_that_has_only_a_routes_scope_gets_further(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys
) -> None:
    for method, path, scopes in await routes(http):
        key = (await keys.create(scopes=scopes)).key
        assert (await ask(gateway, key, method, path)).status_code not in {401, 403}, (method, path)


async def test_the_scope_is_looked_at_before_the_body(gateway: RunningGateway, keys: Keys) -> None:
    key = (await keys.create(scopes=frozenset({Scope.TENANTS_READ}))).key
    async with gateway.client(**{"X-API-Key": key}) as http:
        for content, content_type in ((b"{", "application/json"), (b"x", "text/plain")):
            answer = await http.post("/tenants", content=content, headers={"Content-Type": content_type})
            assert_problem(answer, 403, "scope-missing")


async def test_a_key_without_the_scope_changes_nothing(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys
) -> None:
    created = await create(http)
    reader = (await keys.create(scopes=frozenset({Scope.TENANTS_READ}))).key
    for method, path in (("DELETE", ""), ("POST", "/resume"), ("PATCH", "")):
        answer = await ask(gateway, reader, method, f"/operations/{created['workflowId']}{path}")
        assert_problem(answer, 403, "scope-missing")
    status = (await http.get(created["links"]["self"])).json()
    assert (status["status"], status["cancelledBy"]) == ("queued", None)


async def test_a_key_has_the_scopes_of_tenants_unless_others_are_named() -> None:
    assert {scope for scope in Scope if scope.startswith("tenants:")} == DEFAULT_SCOPES
