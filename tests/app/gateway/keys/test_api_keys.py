"""API keys over HTTP: creating, reading, rotating and revoking them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import httpx
import pytest

from app.auth import remembered_callers
from app.auth.keys.format import KEY_PATTERN, ApiKey
from app.auth.scopes import Scope
from tests.app.gateway.requests import assert_problem, create, faults, tenant
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import EVERYTHING, Keys

pytestmark = pytest.mark.anyio

READ = [Scope.TENANTS_READ]


@pytest.fixture
def remembered_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the gateway remember a key's caller for a moment instead of five seconds."""
    monkeypatch.setattr(remembered_callers, "REMEMBERED_SECONDS", 0.5)


async def make(http: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    response = await http.post("/api-keys", json={"name": "made", **fields})
    assert response.status_code == 201, response.text
    document: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/api-keys/{document['id']}"
    return document


async def status_with(gateway: RunningGateway, key: str) -> int:
    async with gateway.client(**{"X-API-Key": key}) as http:
        return (await http.get("/tenants")).status_code


async def test_a_created_key_has_its_scopes(gateway: RunningGateway, http: httpx.AsyncClient) -> None:
    made = await make(http, scopes=READ)
    assert made["scopes"] == READ
    async with gateway.client(**{"X-API-Key": made["key"]}) as reader:
        assert (await reader.get("/tenants")).status_code == 200
        assert_problem(await reader.post("/tenants", json=tenant()), 403, "scope-missing")


async def test_a_secret_is_shown_once(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    made = await make(http)
    key = ApiKey.parse(made["key"])
    assert key is not None
    for path in ("/api-keys", f"/api-keys/{made['id']}"):
        response = await http.get(path)
        assert made["id"] in response.text
        assert key.secret not in response.text
    assert key.secret not in str(await database.fetch("SELECT * FROM alga_tenants.api_keys"))


async def test_a_key_document_has_everything_but_the_secret(http: httpx.AsyncClient) -> None:
    tenant_id = str(uuid4())
    made = await make(http, name=" admin UI ", scopes=READ, tenantId=tenant_id, expiresInDays=1)
    shown = (await http.get(f"/api-keys/{made['id']}")).json()
    assert shown == {name: value for name, value in made.items() if name != "key"}
    assert (shown["name"], shown["state"], shown["tenantId"]) == ("admin UI", "active", tenant_id)
    lives = datetime.fromisoformat(shown["expiresAt"]) - datetime.fromisoformat(shown["createdAt"])
    assert abs(lives - timedelta(days=1)) < timedelta(seconds=5)
    assert shown["createdBy"].startswith("key:")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["tenants:everything"]}, "scopes.0"),
        ({"name": "x", "tenantId": "mine"}, "tenantId"),
        ({"name": "x", "expiresInDays": 0}, "expiresInDays"),
        ({"name": "x", "expiresInDays": True}, "expiresInDays"),
        ({"name": "x", "secret": "chosen"}, "secret"),
    ],
)
async def test_an_invalid_key_request_names_the_field(
    http: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    response = await http.post("/api-keys", json=body)
    assert_problem(response, 422, "invalid-request")
    assert field in faults(response)


async def test_a_caller_cannot_grant_a_scope_that_it_lacks(gateway: RunningGateway, keys: Keys) -> None:
    limited = (await keys.create(scopes=frozenset({Scope.KEYS_MANAGE, Scope.TENANTS_READ}))).key
    strong = await keys.create("strong")
    async with gateway.client(**{"X-API-Key": limited}) as http:
        response = await http.post("/api-keys", json={"name": "more", "scopes": ["tenants:read", "audit:read"]})
        assert_problem(response, 403, "scope-not-held")
        assert "audit:read" in response.json()["detail"]
        assert "more" not in {key["name"] for key in (await http.get("/api-keys")).json()["keys"]}
        response = await http.post(f"/api-keys/{strong.record.key_id}/rotate", json={"overlapHours": 0})
        assert_problem(response, 403, "scope-not-held")
    assert (await keys.find(strong.record.key_id)).expires_at is None, "the old key is unchanged"


@pytest.mark.usefixtures("remembered_shortly")
async def test_a_revoked_key_is_rejected_within_seconds_and_can_be_revoked_again(
    gateway: RunningGateway, http: httpx.AsyncClient
) -> None:
    made = await make(http)
    assert await status_with(gateway, made["key"]) == 200
    first = (await http.delete(f"/api-keys/{made['id']}")).json()
    assert first["state"] == "revoked"
    assert (await http.delete(f"/api-keys/{made['id']}")).json() == {**first, "lastUsedAt": first["lastUsedAt"]}
    with anyio.fail_after(remembered_callers.REMEMBERED_SECONDS + 2):
        while await status_with(gateway, made["key"]) == 200:  # noqa: ASYNC110 - no event to wait for
            await anyio.sleep(0.05)


@pytest.mark.usefixtures("remembered_shortly")
async def test_old_and_new_key_work_until_the_overlap_ends(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys
) -> None:
    old = await make(http, scopes=READ)
    new = (await http.post(f"/api-keys/{old['id']}/rotate", json={"overlapHours": 1})).json()
    assert new["id"] != old["id"]
    assert (new["name"], new["scopes"], new["expiresAt"]) == (old["name"], old["scopes"], None)
    assert [await status_with(gateway, made["key"]) for made in (old, new)] == [200, 200]
    ends = (await keys.find(old["id"])).expires_at
    assert ends is not None
    assert timedelta(minutes=59) < ends - datetime.now(UTC) < timedelta(minutes=61)
    assert (await http.post(f"/api-keys/{old['id']}/rotate", json={"overlapHours": 0})).status_code == 201
    with anyio.fail_after(remembered_callers.REMEMBERED_SECONDS + 2):
        while await status_with(gateway, old["key"]) == 200:  # noqa: ASYNC110 - no event to wait for
            await anyio.sleep(0.05)
    assert await status_with(gateway, new["key"]) == 200


async def test_a_request_repeated_with_the_new_key_finds_the_old_keys_operation(
    gateway: RunningGateway, http: httpx.AsyncClient
) -> None:
    old = await make(http, scopes=sorted(EVERYTHING))
    async with gateway.client(**{"X-API-Key": old["key"]}) as itself:
        new = (await itself.post(f"/api-keys/{old['id']}/rotate")).json()
    body, key = tenant(), {"Idempotency-Key": "over-a-rotation"}
    started = []
    for made in (old, new):
        async with gateway.client(**{"X-API-Key": made["key"]}) as caller:
            started.append(await create(caller, body, **key))
    assert started[0]["workflowId"] == started[1]["workflowId"]
    assert started[0]["requestedBy"] == started[1]["requestedBy"]


async def test_a_rotation_never_prolongs_the_old_key(http: httpx.AsyncClient, keys: Keys) -> None:
    old = await make(http, expiresInDays=1)
    await http.post(f"/api-keys/{old['id']}/rotate", json={"overlapHours": 48})
    assert (await keys.find(old["id"])).expires_at == datetime.fromisoformat(old["expiresAt"])


async def test_a_revoked_or_expired_key_cannot_be_rotated(http: httpx.AsyncClient, keys: Keys) -> None:
    revoked = await make(http)
    await http.delete(f"/api-keys/{revoked['id']}")
    expired = await keys.create(expires_in=timedelta(seconds=-1))
    for key_id in (revoked["id"], expired.record.key_id):
        assert_problem(await http.post(f"/api-keys/{key_id}/rotate"), 409, "api-key-unusable")


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/rotate")])
@pytest.mark.parametrize("key_id", ["unknown", "a%00b"])
async def test_an_unknown_key_is_not_found(http: httpx.AsyncClient, method: str, path: str, key_id: str) -> None:
    assert_problem(await http.request(method, f"/api-keys/{key_id}{path}"), 404, "api-key-not-found")


async def test_a_key_is_recognisable_to_secret_scanners(http: httpx.AsyncClient) -> None:
    made = await make(http, scopes=sorted(EVERYTHING))
    assert re.fullmatch(KEY_PATTERN, made["key"])
