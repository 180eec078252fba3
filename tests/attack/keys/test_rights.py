"""What holders of `keys:manage` can do to keys that have more scopes or another tenant."""

from uuid import uuid4

import asyncpg
import httpx
import pytest

from app.auth.keys.hashes import SecretHashes
from app.auth.scopes import Scope
from tests.app.gateway.audit.test_audit_events import RequestId, the_event
from tests.app.gateway.requests import assert_problem, create, tenant
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import EVERYTHING, Keys

pytestmark = pytest.mark.anyio

MANAGER = frozenset({Scope.KEYS_MANAGE, Scope.TENANTS_READ})


async def test_a_weak_key_cannot_revoke_a_stronger_one(gateway: RunningGateway, keys: Keys) -> None:
    strong = await keys.create("strong")
    weak = (await keys.create("weak", scopes=MANAGER)).key
    equal = await keys.create("equal", scopes=MANAGER)
    async with gateway.client(**{"X-API-Key": weak}) as http:
        response = await http.delete(f"/api-keys/{strong.record.key_id}")
        assert_problem(response, 403, "scope-not-held")
        assert "payloads:decode" in response.json()["detail"]
        assert (await http.delete(f"/api-keys/{equal.record.key_id}")).status_code == 200
    assert (await keys.find(strong.record.key_id)).revoked_at is None
    assert await keys.verify(strong.key) is not None


async def test_an_operator_at_the_shell_can_revoke_every_key(keys: Keys) -> None:
    strong = await keys.create("strong")
    await keys.revoke(strong.record.key_id)


async def test_a_key_that_another_caller_rotates_becomes_a_caller_of_its_own(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys
) -> None:
    victim = await keys.create("victim")
    rotated = (await http.post(f"/api-keys/{victim.record.key_id}/rotate")).json()
    body, repeat = tenant(), {"Idempotency-Key": f"rotation-{uuid4()}"}
    started = []
    for key in (victim.key, rotated["key"]):
        async with gateway.client(**{"X-API-Key": key}) as caller:
            started.append(await create(caller, {**body, "tenantName": key[:15]}, **repeat))
    assert started[0]["requestedVia"] != started[1]["requestedVia"]
    assert started[1]["requestedVia"] == f"key:{rotated['id']}"


async def test_a_key_that_rotates_itself_stays_the_same_caller(gateway: RunningGateway, keys: Keys) -> None:
    own = await keys.create("own")
    async with gateway.client(**{"X-API-Key": own.key}) as caller:
        successor = (await caller.post(f"/api-keys/{own.record.key_id}/rotate")).json()
    by_operator = await keys.rotate(successor["id"], own.record.created_at - own.record.created_at)
    assert by_operator.record.caller_id == own.record.key_id


async def test_an_attempt_on_another_tenants_key_is_in_the_audit_trail(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys
) -> None:
    attempts = [("GET", "", RequestId()), ("DELETE", "", RequestId()), ("POST", "/rotate", RequestId())]
    tenant_id = uuid4()
    theirs = (await keys.create("theirs", tenant_id=uuid4())).record.key_id
    bound = (await keys.create("bound", tenant_id=tenant_id)).key
    async with gateway.client(**{"X-API-Key": bound}) as caller:
        for method, path, request_id in attempts:
            headers = {"X-Request-ID": request_id.id}
            hidden = await caller.request(method, f"/api-keys/{theirs}{path}", headers=headers)
            unknown = await caller.request(method, f"/api-keys/unknown{path}")
            assert_problem(hidden, 404, "api-key-not-found")
            assert_problem(unknown, 404, "api-key-not-found")
            assert hidden.json()["detail"] == unknown.json()["detail"]
    for _, path, request_id in attempts:
        event = await the_event(http, request_id, action="request.denied")
        assert (event["reason"], event["tenantId"]) == ("api-key-not-found", str(tenant_id))
        assert event["path"] == f"/api-keys/{{key_id}}{path}"


async def test_no_connection_is_held_while_a_secret_is_hashed(
    keys: Keys, monkeypatch: pytest.MonkeyPatch, database: asyncpg.Connection
) -> None:
    """Hashing is slow and has few threads. Within a transaction it would exhaust the connection pool."""
    held: list[int] = []
    compute = SecretHashes.hash

    async def look(hashes: SecretHashes, secret: str) -> str:
        held.append(keys.engine.pool.checkedout())  # type: ignore[attr-defined]
        return await compute(hashes, secret)

    monkeypatch.setattr(SecretHashes, "hash", look)
    made = await keys.create(scopes=EVERYTHING)
    await keys.rotate(made.record.key_id, made.record.created_at - made.record.created_at)
    assert held == [0, 0]
    assert await database.fetchval("SELECT 1") == 1
