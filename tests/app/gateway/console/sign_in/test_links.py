"""Links that sign in once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import httpx
import pytest

from app.auth.sessions import links
from app.auth.sessions.links import SignInLinks
from app.settings import Settings
from migrations.revisions import admin_engine
from tests.app.gateway.conftest import SECRET
from tests.app.gateway.console.walking import COOKIE, FORM, OURS, visit
from tests.app.gateway.server import PATIENCE, RunningGateway
from tests.support.api_keys import Keys
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

REFUSAL = "The link was used before, or it has expired"


@pytest.fixture
async def made(settings: Settings) -> AsyncIterator[SignInLinks]:
    engine = admin_engine(settings.admin_database)
    yield SignInLinks(SECRET, engine)
    await engine.dispose()


async def use(http: httpx.AsyncClient, link: str) -> httpx.Response:
    return await http.post("/console/sign-in/link", data={"link": link}, headers={**OURS, **FORM})


async def test_a_link_signs_in_once_and_looking_at_it_does_not_use_it_up(
    http: httpx.AsyncClient, keys: Keys, made: SignInLinks, database: asyncpg.Connection
) -> None:
    key = await keys.create("linked")
    link = await made.create(key.record.key_id)
    for _ in range(3):
        page = await visit(http, "GET", f"/console/sign-in?link={link}", None)
        assert (page.status_code, page.headers.get("set-cookie")) == (200, None)
        assert link in page.text

    used = await use(http, link)

    assert (used.status_code, used.headers["location"]) == (303, "/console")
    signed_in = await visit(http, "GET", "/console/operations", used.cookies[COOKIE])
    assert "linked" in signed_in.text
    again = await use(http, link)
    assert (again.status_code, again.headers.get("set-cookie")) == (401, None)
    assert REFUSAL in again.text

    query = "SELECT count(*) FROM alga_tenants.audit_events WHERE action = 'session.open' AND subject = $1"

    async def is_recorded() -> bool:
        return bool(await database.fetchval(query, key.record.key_id) == 1)

    await wait_until(is_recorded, timeout=PATIENCE)


async def test_of_simultaneous_uses_at_two_gateways_one_signs_in(
    gateway: RunningGateway, settings: Settings, api_key: str, keys: Keys, made: SignInLinks
) -> None:
    link = await made.create((await keys.create()).record.key_id)
    with RunningGateway(settings, api_key) as another:
        async with gateway.client() as first, another.client() as second:
            responses = await asyncio.gather(*(use(http, link) for http in (first, second) * 4))
    assert sorted(response.status_code for response in responses) == [303] + [401] * 7


async def test_a_link_does_not_outlive_its_time_or_its_key(
    http: httpx.AsyncClient, keys: Keys, made: SignInLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await keys.create()
    of_revoked = await made.create(key.record.key_id)
    await keys.revoke(key.record.key_id)
    monkeypatch.setattr(links, "LIFETIME", timedelta(seconds=-1))
    expired = await made.create((await keys.create()).record.key_id)
    for link in (of_revoked, expired, "", "made-up"):
        response = await use(http, link)
        assert (response.status_code, response.headers.get("set-cookie")) == (401, None)


async def test_neither_the_database_nor_its_writers_can_make_a_link(
    http: httpx.AsyncClient, keys: Keys, made: SignInLinks, database: asyncpg.Connection
) -> None:
    own, other = (await keys.create()).record.key_id, (await keys.create()).record.key_id
    link = await made.create(own)
    row = await database.fetchrow("SELECT * FROM alga_tenants.sign_in_links WHERE key_id = $1", own)
    assert row is not None
    assert not any(link in str(value) for value in row.values())
    # Someone who can write the table, and who has a link, wants to be another caller.
    await database.execute("UPDATE alga_tenants.sign_in_links SET key_id = $1 WHERE key_id = $2", other, own)
    response = await use(http, link)
    assert (response.status_code, response.headers.get("set-cookie")) == (401, None)
    # A row without a link that we have encrypted opens nothing.
    await database.execute(
        "INSERT INTO alga_tenants.sign_in_links VALUES (sha256('forged'), $1, now() + interval '1 hour')", other
    )
    assert (await use(http, "forged")).status_code == 401
