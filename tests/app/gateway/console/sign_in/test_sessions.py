"""Sessions that are opened with a key: their cookies, how long they last, and what the audit trail has of them."""

from datetime import timedelta
from http.cookies import Morsel, SimpleCookie

import asyncpg
import httpx
import pytest

from app.settings import Settings
from tests.app.gateway.console.walking import COOKIE, FORM, OURS, visit
from tests.app.gateway.requests import assert_problem, create
from tests.app.gateway.server import PATIENCE, RunningGateway
from tests.support.api_keys import Keys
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

HTTPS = {"X-Forwarded-Proto": "https"}
SECURE_COOKIE = f"__Host-{COOKIE}"


async def sign_in(http: httpx.AsyncClient, key: str, wanted: str = "", **headers: str) -> httpx.Response:
    data = {"key": key, "next": wanted}
    return await http.post("/console/sign-in", data=data, headers={**OURS, **FORM, **headers})


def cookie_in(response: httpx.Response) -> Morsel[str]:
    (morsel,) = SimpleCookie(response.headers["set-cookie"]).values()
    return morsel


async def test_no_script_and_no_form_of_another_site_gets_the_cookie(http: httpx.AsyncClient, keys: Keys) -> None:
    key = (await keys.create()).key
    for headers, name, is_secure in (({}, COOKIE, ""), (HTTPS, SECURE_COOKIE, True)):
        cookie = cookie_in(await sign_in(http, key, **headers))
        assert (cookie.key, cookie["secure"]) == (name, is_secure)
        assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"]) == (True, "lax", "/")
        assert cookie["domain"] == ""
        assert key not in cookie.value
        left = await visit(http, "POST", "/console/sign-out", cookie.value, **headers)
        forgotten = cookie_in(left)
        assert (forgotten.key, forgotten["max-age"], forgotten["secure"]) == (name, "0", is_secure)


async def test_over_https_only_the_cookie_with_the_prefix_is_read(http: httpx.AsyncClient, keys: Keys) -> None:
    value = cookie_in(await sign_in(http, (await keys.create()).key)).value
    for name, status in ((COOKIE, 303), (SECURE_COOKIE, 200)):
        headers = {"Accept": "text/html", "Cookie": f"{name}={value}", **HTTPS}
        assert (await http.get("/console/operations", headers=headers)).status_code == status


async def test_a_session_lasts_as_long_as_the_setting_and_the_key_allow(
    http: httpx.AsyncClient, settings: Settings, keys: Keys
) -> None:
    for expires_in, longest in ((None, settings.console_session), (timedelta(minutes=1), 60)):
        cookie = cookie_in(await sign_in(http, (await keys.create(expires_in=expires_in)).key))
        assert longest - PATIENCE < int(cookie["max-age"]) <= longest


async def test_gateways_with_one_secret_share_sessions(
    http: httpx.AsyncClient, settings: Settings, api_key: str
) -> None:
    value = cookie_in(await sign_in(http, api_key)).value
    with RunningGateway(settings, api_key) as another:
        async with another.client(Accept="text/html") as browser:
            assert (await visit(browser, "GET", "/console/operations", value)).status_code == 200


async def test_signing_in_and_out_is_in_the_audit_trail(
    http: httpx.AsyncClient, keys: Keys, database: asyncpg.Connection
) -> None:
    key = await keys.create("auditable")
    value = cookie_in(await sign_in(http, key.key)).value
    await visit(http, "POST", "/console/sign-out", value)
    query = "SELECT action, outcome FROM alga_tenants.audit_events WHERE caller = $1 ORDER BY sequence"

    async def are_recorded() -> bool:
        rows = await database.fetch(query, f"key:{key.record.key_id}")
        return [tuple(row) for row in rows] == [("session.open", "accepted"), ("session.close", "accepted")]

    await wait_until(are_recorded, timeout=PATIENCE)


async def test_revoking_the_key_ends_an_open_page_within_seconds(http: httpx.AsyncClient, keys: Keys) -> None:
    operation = await create(http)
    key = await keys.create()
    value = cookie_in(await sign_in(http, key.key)).value
    path = f"/console/operations/{operation['workflowId']}/live"
    headers = {"Accept": "text/event-stream", "Cookie": f"{COOKIE}={value}"}
    async with http.stream("GET", path, headers=headers) as stream:
        lines = stream.aiter_lines()
        assert await anext(lines) == "event: parts"
        await keys.revoke(key.record.key_id)
        assert "event: end" not in [line async for line in lines]
    # The page connects again, and says what it gets.
    assert_problem(await http.get(path, headers=headers), 401, "sign-in-required")
