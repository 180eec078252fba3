"""Where `/` and `/console` lead."""

import httpx
import pytest

from app.auth.scopes import Scope
from app.gateway.console.navigation import ENTRIES
from tests.app.gateway.conftest import SECRET
from tests.app.gateway.console.walking import session, visit
from tests.app.gateway.requests import assert_problem
from tests.support.api_keys import Keys

pytestmark = pytest.mark.anyio


async def test_the_root_leads_browsers_to_the_console_and_nothing_else(http: httpx.AsyncClient) -> None:
    response = await visit(http, "GET", "/", None)
    assert (response.status_code, response.headers["location"]) == (303, "/console")
    assert_problem(await http.get("/", headers={"Accept": "application/json"}), 404, "not-found")


@pytest.mark.parametrize("scope", sorted({entry.scope for entry in ENTRIES}))
async def test_the_console_leads_to_the_first_page_that_the_caller_may_see(
    http: httpx.AsyncClient, keys: Keys, scope: Scope
) -> None:
    first = next(entry for entry in ENTRIES if entry.scope == scope)
    response = await visit(http, "GET", "/console", session(SECRET, keys.api_keys, {scope}))
    assert (response.status_code, response.headers["location"]) == (303, f"/console{first.path}")


@pytest.mark.parametrize("scopes", [frozenset(), frozenset({Scope.PAYLOADS_DECODE})])
async def test_a_caller_who_may_see_no_page_learns_which_scopes_are_missing(
    http: httpx.AsyncClient, keys: Keys, scopes: frozenset[Scope]
) -> None:
    response = await visit(http, "GET", "/console", session(SECRET, keys.api_keys, scopes))
    assert response.status_code == 403
    for entry in ENTRIES:
        assert entry.title in response.text
        assert entry.scope in response.text
    assert ("payloads:decode" in response.text) == (Scope.PAYLOADS_DECODE in scopes)
    assert "Sign out" in response.text
