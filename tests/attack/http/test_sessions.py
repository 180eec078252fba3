"""Cookies of sessions that were changed, made up or stolen from elsewhere, and guesses at the sign-in."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import pytest

from app.auth.callers import Caller
from app.auth.keys.api_keys import ApiKeys
from app.auth.scopes import Scope
from app.auth.sessions.links import PURPOSE as LINKS
from app.auth.sessions.sealing import SealedTexts
from app.auth.sessions.sessions import Sessions
from app.settings import Settings
from tests.app.gateway.conftest import SECRET
from tests.app.gateway.console.walking import FORM, OURS, session, visit
from tests.app.gateway.server import PATIENCE, RunningGateway
from tests.support.api_keys import Keys
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

BURST = 3
ALL_SCOPES = list(Scope)


@pytest.fixture(scope="module")
def open_to_all(settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    limits = {"rate_limit_anonymous_per_minute": 0, "rate_limit_failed_per_minute": 0}
    with RunningGateway(settings.model_copy(update=limits), api_key) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def strict(settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    """A gateway that lets each address fail three times."""
    limits = {"rate_limit_failed_per_minute": 1, "rate_limit_failed_burst": BURST}
    with RunningGateway(settings.model_copy(update=limits), api_key) as gateway:
        yield gateway


async def status_with(http: httpx.AsyncClient, cookie: str) -> int:
    return (await visit(http, "GET", "/console/operations", cookie)).status_code


async def test_a_session_that_was_changed_anywhere_is_none(open_to_all: RunningGateway, keys: Keys) -> None:
    valid = session(SECRET, keys.api_keys, {Scope.TENANTS_READ})
    async with open_to_all.client(Accept="text/html") as http:
        assert await status_with(http, valid) == 200
        # The last character may hold bits that no byte has.
        for place in range(0, len(valid) - 1, 3):
            changed = valid[:place] + ("A" if valid[place] != "A" else "B") + valid[place + 1 :]
            assert await status_with(http, changed) == 303, place
        for cut in ("", valid[:8], valid[:-4], valid + "AAAA", valid * 8, "A" * 20_000):
            assert await status_with(http, cut) == 303


async def test_a_session_of_elsewhere_or_another_purpose_is_none(
    open_to_all: RunningGateway, keys: Keys, api_key: str
) -> None:
    content = {"identity": "key:x", "name": "x", "scopes": ALL_SCOPES, "tenant": None}
    made_up = [
        session("another-nextauth-secret", keys.api_keys, Scope),
        SealedTexts(SECRET, LINKS).seal(content, 600),
        SealedTexts(SECRET, "console sign-ins at the provider").seal(content, 600),
        expired(keys.api_keys),
        api_key,
    ]
    async with open_to_all.client(Accept="text/html") as http:
        for cookie in made_up:
            assert await status_with(http, cookie) == 303


def expired(keys: ApiKeys) -> str:
    caller = Caller("oidc:00000000:jane", "jane", frozenset(Scope))
    return Sessions(SECRET, keys, 600).of_token(caller, datetime.now(UTC) - timedelta(seconds=1)).sealed


async def test_the_longest_session_fits_into_a_cookie(keys: Keys) -> None:
    caller = Caller("oidc:00000000:" + "x" * 255, "🔑" * 200, frozenset(Scope))
    sealed = Sessions(SECRET, keys.api_keys, 600).of_token(caller, datetime.now(UTC) + timedelta(minutes=5)).sealed
    assert len(sealed) < 4000


async def guess(http: httpx.AsyncClient, key: str) -> httpx.Response:
    return await http.post("/console/sign-in", data={"key": key}, headers={**OURS, **FORM, "Accept": "text/html"})


async def test_guesses_are_limited_by_address_together_with_those_at_the_api_and_audited(
    strict: RunningGateway, keys: Keys, database: asyncpg.Connection
) -> None:
    address = {"X-Forwarded-For": "192.0.2.77"}
    known, unknown = (await keys.create()).key, (await keys.create()).key
    async with strict.client(**address) as http:
        assert (await guess(http, known)).status_code == 303
        assert (await guess(http, "at_wrong")).status_code == 401
        assert (await http.get("/operations", headers={"X-API-Key": "at_wrong"})).status_code == 401
        assert await status_with(http, "made-up") == 303

        limited = await guess(http, unknown)

        assert limited.status_code == 429
        assert int(limited.headers["retry-after"]) > 0
        assert "without a valid credential from this address; retry in" in limited.text
        assert unknown not in limited.text
        assert await status_with(http, "made-up again") == 429
        # Those who share the address go on with what was valid before.
        assert (await guess(http, known)).status_code == 303
    query = (
        "SELECT sum(count) FROM alga_tenants.audit_events WHERE address = '192.0.2.77' AND path = $1 AND reason = $2"
    )

    async def are_recorded() -> bool:
        reasons = ("unauthorized", "rate-limited")
        return [await database.fetchval(query, "/console/sign-in", reason) for reason in reasons] == [1, 1]

    await wait_until(are_recorded, timeout=PATIENCE)


@pytest.mark.parametrize(
    "wanted",
    ["https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example", "javascript:alert(1)", "operations"],
)
async def test_a_sign_in_leads_to_no_other_site(http: httpx.AsyncClient, api_key: str, wanted: str) -> None:
    data = {"key": api_key, "next": wanted}
    response = await http.post("/console/sign-in", data=data, headers={**OURS, **FORM})
    assert (response.status_code, response.headers["location"]) == (303, "/console")
    shown = await http.get("/console/sign-in", params={"next": wanted}, headers={"Accept": "text/html"})
    assert "elsewhere" not in shown.text


@pytest.mark.parametrize("body", [b"key=%ff", b"key=" + b"x" * 9000, b"&".join([b"a=1"] * 300), b"{}", b"key=\xff"])
async def test_a_malformed_form_is_refused(http: httpx.AsyncClient, body: bytes) -> None:
    response = await http.post("/console/sign-in", content=body, headers={**OURS, **FORM, "Accept": "text/html"})
    assert response.status_code in {401, 413, 422}
    assert "set-cookie" not in response.headers
