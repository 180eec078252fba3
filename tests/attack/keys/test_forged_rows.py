"""Rows of API keys that an attacker with the password of the gateway's database role has written."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import httpx
import pytest
from structlog.testing import capture_logs

from app.auth.keys.format import ApiKey
from app.auth.keys.hashes import HASHER, SecretHashes
from app.auth.scopes import Scope
from app.settings import Settings
from tests.app.gateway.requests import assert_problem
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import EVERYTHING, Keys

pytestmark = pytest.mark.anyio

ALL_SCOPES = " ".join(sorted(EVERYTHING))
# Changes of a row that would give the holder of a weak or revoked key more rights.
CHANGES = {
    "scopes": f"scopes = '{ALL_SCOPES}'",
    "tenant": "tenant_id = NULL",
    "expiry": "expires_at = NULL",
    "later expiry": "expires_at = expires_at + interval '10 years'",
    "revocation": "revoked_at = NULL",
    "caller": "caller_id = 'somebody-else'",
    "name": "name = 'the administrator'",
    "creator": "created_by = 'shell:nobody-of-ours'",
    "creation": "created_at = now() - interval '1 year'",
    "no mac": "scopes = scopes, mac = NULL",
    "empty mac": "scopes = scopes, mac = ''",
}


@pytest.fixture
async def stolen_role(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection with the gateway's role."""
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        yield connection
    finally:
        await connection.close()


async def forge(connection: asyncpg.Connection, scopes: str = ALL_SCOPES) -> ApiKey:
    """Insert the row of a key without its MAC."""
    key = ApiKey.generate()
    await connection.execute(
        "INSERT INTO alga_tenants.api_keys (key_id, name, caller_id, scopes, secret_hash, created_at)"
        " VALUES ($1, 'forged', $1, $2, $3, now())",
        key.key_id,
        scopes,
        HASHER.hash(key.secret),
    )
    return key


async def status_with(gateway: RunningGateway, key: str) -> int:
    async with gateway.client(**{"X-API-Key": key}) as client:
        return (await client.get("/api-keys")).status_code


async def state_of(http: httpx.AsyncClient, key_id: str) -> str:
    listed = {key["id"]: key["state"] for key in (await http.get("/api-keys")).json()["keys"]}
    shown: str = (await http.get(f"/api-keys/{key_id}")).json()["state"]
    assert listed[key_id] == shown
    return shown


async def test_an_inserted_key_is_rejected(
    gateway: RunningGateway, http: httpx.AsyncClient, stolen_role: asyncpg.Connection
) -> None:
    key = await forge(stolen_role)
    async with gateway.client(**{"X-API-Key": key.text}) as thief:
        assert_problem(await thief.post("/codec/decode", json={"payloads": []}), 401, "unauthorized")
    assert await state_of(http, key.key_id) == "forged"


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_a_changed_key_is_rejected(  # noqa: PLR0917 - fixtures
    gateway: RunningGateway,
    http: httpx.AsyncClient,
    keys: Keys,
    database: asyncpg.Connection,
    stolen_role: asyncpg.Connection,
    change: str,
) -> None:
    scopes = frozenset({Scope.KEYS_MANAGE})
    tenant_id = await database.fetchval("SELECT gen_random_uuid()")
    made = await keys.create("weak", scopes=scopes, tenant_id=tenant_id, expires_in=timedelta(days=1))
    if "revoked_at" in change:
        await keys.revoke(made.record.key_id)
    await stolen_role.execute(
        f"UPDATE alga_tenants.api_keys SET {change} WHERE key_id = $1",  # noqa: S608 - written above
        made.record.key_id,
    )
    assert await status_with(gateway, made.key) == 401
    assert await state_of(http, made.record.key_id) == "forged"


async def test_the_secret_and_the_mac_of_another_key_are_rejected(
    gateway: RunningGateway, keys: Keys, stolen_role: asyncpg.Connection
) -> None:
    strong = await keys.create("strong")
    own, own_secret = await keys.create("weak", scopes=frozenset({Scope.KEYS_MANAGE})), ApiKey.generate()
    forged = ApiKey(strong.record.key_id, own_secret.secret)
    await stolen_role.execute(
        "UPDATE alga_tenants.api_keys SET secret_hash = $2 WHERE key_id = $1",
        strong.record.key_id,
        HASHER.hash(own_secret.secret),
    )
    assert await status_with(gateway, forged.text) == 401
    await stolen_role.execute(
        "UPDATE alga_tenants.api_keys AS own SET scopes = strong.scopes, mac = strong.mac"
        " FROM alga_tenants.api_keys AS strong WHERE own.key_id = $1 AND strong.key_id = $2",
        own.record.key_id,
        strong.record.key_id,
    )
    assert await status_with(gateway, own.key) == 401


async def test_a_forged_key_takes_as_long_as_an_unknown_one(
    keys: Keys, stolen_role: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await forge(stolen_role)
    verified: list[str] = []
    verify_dummy = SecretHashes.verify_dummy

    async def refuse(_: SecretHashes, secret_hash: str, secret: str) -> bool:  # noqa: ARG001 - as the original
        raise AssertionError("an attacker chose this hash, and how long it takes")

    async def count(hashes: SecretHashes, secret: str) -> None:
        verified.append(secret)
        await verify_dummy(hashes, secret)

    monkeypatch.setattr(SecretHashes, "verify", refuse)
    monkeypatch.setattr(SecretHashes, "verify_dummy", count)
    assert await keys.verify(key.text) is None
    assert verified == [key.secret]


async def test_a_forged_key_is_logged_once_per_interval(keys: Keys, stolen_role: asyncpg.Connection) -> None:
    forged = [await forge(stolen_role) for _ in range(2)]
    with capture_logs() as lines:
        for key in [*forged, *forged]:
            assert await keys.verify(key.text) is None
    errors = [line for line in lines if line["log_level"] == "error"]
    assert [line["key_id"] for line in errors] == [key.key_id for key in forged]
    assert not any(key.secret in str(lines) for key in forged)


async def test_a_forged_key_can_be_revoked_but_not_rotated(
    gateway: RunningGateway, http: httpx.AsyncClient, stolen_role: asyncpg.Connection
) -> None:
    key = await forge(stolen_role)
    assert_problem(await http.post(f"/api-keys/{key.key_id}/rotate"), 409, "api-key-unusable")
    assert (await http.delete(f"/api-keys/{key.key_id}")).json()["state"] == "revoked"
    assert await state_of(http, key.key_id) == "revoked"
    assert await status_with(gateway, key.text) == 401
    (event,) = (await http.get("/audit-events", params={"action": "key.revoke", "pageSize": 1})).json()["events"]
    assert (event["subject"], event["details"]["wasForged"]) == (key.key_id, True)


async def test_every_write_of_ours_leaves_a_valid_row(http: httpx.AsyncClient, keys: Keys) -> None:
    made = await keys.create(expires_in=timedelta(days=1))
    assert await keys.verify(made.key) is not None
    assert await state_of(http, made.record.key_id) == "active"
    rotated = await keys.rotate(made.record.key_id, timedelta(hours=1))
    assert rotated is not None
    for key_id in (made.record.key_id, rotated.record.key_id):
        assert await state_of(http, key_id) == "active"
        assert (await http.delete(f"/api-keys/{key_id}")).json()["state"] == "revoked"
        assert await state_of(http, key_id) == "revoked"
