from datetime import timedelta

import anyio
import asyncpg
import httpx
import pytest

from app.auth.keys.format import ApiKey
from app.auth.remembered_callers import REMEMBERED_SECONDS
from tests.app.gateway.requests import assert_problem
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys

pytestmark = pytest.mark.anyio

ROUTES = [
    ("GET", "/tenants"),
    ("POST", "/tenants"),
    ("GET", "/tenants/x"),
    ("GET", "/operations"),
    ("GET", "/operations/x"),
    ("PATCH", "/operations/x"),
    ("GET", "/tenants/x/status"),
    ("DELETE", "/tenants/x"),
]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def get(gateway: RunningGateway, **headers: str) -> httpx.Response:
    async with gateway.client(**(headers or {"Accept": "*/*"})) as http:
        return await http.get("/tenants")


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_needs_a_key(gateway: RunningGateway, method: str, path: str) -> None:
    async with gateway.client(Accept="*/*") as http:
        response = await http.request(method, path)
    assert_problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"


async def test_the_key_is_checked_before_the_rest_of_the_request(gateway: RunningGateway) -> None:
    async with gateway.client(Accept="*/*") as http:
        for content, content_type in ((b"{", "application/json"), (b"x", "text/plain"), (b" " * 3_000_000, "x/y")):
            response = await http.post("/tenants", content=content, headers={"Content-Type": content_type})
            assert_problem(response, 401, "unauthorized")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz", "/health", "/ready", "/docs", "/openapi.json"])
async def test_probes_and_documentation_need_no_key(gateway: RunningGateway, path: str) -> None:
    async with gateway.client(Accept="*/*") as http:
        assert (await http.get(path)).status_code == 200


async def test_a_key_is_accepted_in_either_header(gateway: RunningGateway, api_key: str) -> None:
    for headers in (bearer(api_key), {"Authorization": f"bearer  {api_key}"}, {"X-API-Key": api_key}):
        assert (await get(gateway, **headers)).status_code == 200


async def test_all_invalid_keys_get_the_same_response(gateway: RunningGateway, api_key: str) -> None:
    key = ApiKey.parse(api_key)
    assert key is not None
    wrong = {
        "no key at all": "password",
        "wrong checksum": api_key[:-1] + ("a" if api_key[-1] != "a" else "b"),
        "wrong secret": ApiKey(key.key_id, ApiKey.generate().secret).text,
        "unknown id": ApiKey.generate().text,
        "long": "x" * 10_000,
    }
    bodies = set()
    for kind, text in wrong.items():
        response = await get(gateway, **bearer(text))
        assert response.status_code == 401, kind
        bodies.add(response.text.replace(response.headers["x-request-id"], ""))
    assert len(bodies) == 1


async def test_an_expired_key_is_rejected(gateway: RunningGateway, keys: Keys) -> None:
    created = await keys.create("expired", expires_in=timedelta(seconds=-1))
    assert (await get(gateway, **bearer(created.key))).status_code == 401


async def test_a_key_that_has_not_expired_is_accepted(gateway: RunningGateway, keys: Keys) -> None:
    created = await keys.create("not expired", expires_in=timedelta(days=1))
    assert (await get(gateway, **bearer(created.key))).status_code == 200


async def test_a_revoked_key_is_rejected_within_seconds(gateway: RunningGateway, keys: Keys) -> None:
    created = await keys.create("to be revoked")
    assert (await get(gateway, **bearer(created.key))).status_code == 200
    await keys.revoke(created.record.key_id)
    with anyio.fail_after(REMEMBERED_SECONDS + 2):
        while (await get(gateway, **bearer(created.key))).status_code == 200:  # noqa: ASYNC110 - no event to wait for
            await anyio.sleep(0.2)


async def test_the_use_of_a_key_is_recorded(gateway: RunningGateway, keys: Keys) -> None:
    created = await keys.create("used")
    assert created.record.last_used_at is None
    await get(gateway, **bearer(created.key))
    assert (await keys.find(created.record.key_id)).last_used_at is not None


async def test_the_use_of_a_key_is_recorded_once_a_minute(keys: Keys, database: asyncpg.Connection) -> None:
    created = await keys.create("used often")
    statement = "SELECT last_used_at FROM alga_tenants.api_keys WHERE key_id = $1"
    await keys.verify(created.key)
    first = await database.fetchval(statement, created.record.key_id)
    await keys.verify(created.key)
    assert await database.fetchval(statement, created.record.key_id) == first
    await database.execute("UPDATE alga_tenants.api_keys SET last_used_at = last_used_at - interval '61 s'")
    await keys.verify(created.key)
    assert await database.fetchval(statement, created.record.key_id) > first


async def test_only_a_hash_of_the_key_is_stored(keys: Keys, database: asyncpg.Connection) -> None:
    created = await keys.create("stored")
    row = await database.fetchrow("SELECT * FROM alga_tenants.api_keys WHERE key_id = $1", created.record.key_id)
    assert row["secret_hash"].startswith("$argon2id$")
    key = ApiKey.parse(created.key)
    assert key is not None
    assert key.secret not in str(row)
    assert key.secret not in repr(created)
    assert key.secret not in repr(key)


async def test_a_key_with_a_malformed_hash_is_rejected(keys: Keys, database: asyncpg.Connection) -> None:
    created = await keys.create("broken")
    await database.execute(
        "UPDATE alga_tenants.api_keys SET secret_hash = 'plain' WHERE key_id = $1", created.record.key_id
    )
    assert await keys.verify(created.key) is None
