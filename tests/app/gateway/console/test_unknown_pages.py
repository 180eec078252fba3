"""A page that does not exist still has the menu of the person who is signed in."""

import httpx
import pytest

from app.auth.scopes import Scope
from tests.app.gateway.conftest import SECRET
from tests.app.gateway.console.walking import session, visit
from tests.support.api_keys import Keys

pytestmark = pytest.mark.anyio


async def test_a_person_who_is_signed_in_keeps_the_menu(http: httpx.AsyncClient, keys: Keys) -> None:
    cookie = session(SECRET, keys.api_keys, {Scope.TENANTS_READ})
    page = await visit(http, "GET", "/console/no-such-page", cookie)
    assert page.status_code == 404
    assert 'href="/console/tenants"' in page.text
    assert 'href="/console/api-keys"' not in page.text


async def test_without_a_session_there_is_no_menu(http: httpx.AsyncClient) -> None:
    for cookie in (None, "made-up"):
        page = await visit(http, "GET", "/console/no-such-page", cookie)
        assert page.status_code == 404
        assert "<nav" not in page.text
