"""The states of tenants, of which those of deletions come from our own tables."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from app.gateway.directory import listing
from tests.app.gateway.directory.listed import ids, listed
from tests.app.gateway.rows import NOON, add_deletion, add_tenant
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys

pytestmark = pytest.mark.anyio

BEFORE_PURGE = "wait_grace_period"


async def add_suspended(database: asyncpg.Connection, name: str, **row: Any) -> UUID:
    has_reason = "SELECT true FROM pg_attribute WHERE attname = 'suspended_reason' AND attrelid = 'tenants'::regclass"
    reason = {"suspended_reason": "tenant_cancelled"} if await database.fetchval(has_reason) else {}
    return await add_tenant(database, name, suspended_at=NOON, **reason, **row)


async def add_deleted(database: asyncpg.Connection, name: str, **row: Any) -> UUID:
    tenant_id = uuid4()
    known = {"tenant_name": name, "product_code": "psa", "deleted_at": NOON}
    await add_deletion(database, tenant_id, **{**known, **row})
    return tenant_id


async def test_a_tenant_has_the_state_of_its_open_deletion_or_else_its_own(
    shaped_http: httpx.AsyncClient, shaped_database: asyncpg.Connection
) -> None:
    name = f"States {uuid4()}"
    active = await add_tenant(shaped_database, name)
    suspended = await add_suspended(shaped_database, name)
    scheduled = await add_suspended(shaped_database, name)
    await add_deletion(shaped_database, scheduled, BEFORE_PURGE)
    deleting = await add_suspended(shaped_database, name)
    await add_deletion(shaped_database, deleting, "purge", scheduled_for=NOON)
    undone = await add_tenant(shaped_database, name)
    await add_deletion(shaped_database, undone, undone_at=NOON)
    ended = await add_suspended(shaped_database, name)
    await add_deletion(shaped_database, ended)
    restored = await add_tenant(shaped_database, name)
    await add_deletion(shaped_database, restored, tenant_name=name, deleted_at=NOON)
    deleted = await add_deleted(shaped_database, name)
    await add_deletion(shaped_database, deleted, tenant_name=name, deleted_at=NOON - timedelta(days=300))
    expected = {
        "active": {active, undone, restored},
        "suspended": {suspended, ended},
        "deletion_scheduled": {scheduled},
        "deleting": {deleting},
        "deleted": {deleted},
    }

    for state, tenants in expected.items():
        found = await listed(shaped_http, search=name, state=state)
        assert sorted(found) == sorted(ids(*tenants)), state
        for tenant_id in tenants:
            assert (await shaped_http.get(f"/tenants/{tenant_id}")).json()["state"] == state
            assert await listed(shaped_http, search=str(tenant_id), state=state) == ids(tenant_id)
    counts = (await shaped_http.get("/tenants/counts", params={"search": name})).json()
    assert counts == {"total": 7, "byState": {state: len(tenants) for state, tenants in expected.items()}}
    page = (await shaped_http.get("/tenants", params={"search": name})).json()["tenants"]
    states = {tenant["tenantId"]: tenant["state"] for tenant in page}
    assert states == {
        str(tenant_id): state for state, found in expected.items() for tenant_id in found if state != "deleted"
    }


async def test_a_deleted_tenant_is_shown_without_what_is_gone(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    name = f"Deleted {uuid4()}"
    tenant_id = await add_deleted(database, name, product_code="algadesk", reason="cancelled", requested_by="key:a")
    shown = (await http.get(f"/tenants/{tenant_id}")).json()
    gone = ("companyName", "email", "plan", "licenseCount", "userCount", "suspendedAt", "subscription", "addons")
    assert all(shown[name] is None for name in gone)
    assert (shown["name"], shown["productCode"], shown["createdAt"]) == (name, "algadesk", "2025-03-01T12:00:00Z")
    deletion = shown["deletion"]
    assert (deletion["state"], deletion["reason"], deletion["requestedBy"]) == ("deleted", "cancelled", "key:a")
    assert (deletion["deletedAt"], deletion["link"]) == ("2025-03-01T12:00:00Z", f"/tenants/{tenant_id}/deletion")
    assert [operation["kind"] for operation in shown["operations"]] == ["tenant_deletion"]
    assert await listed(http, search=name, state="deleted", productCode="algadesk") == ids(tenant_id)
    assert await listed(http, search=name, state="deleted", productCode="psa") == []


@pytest.mark.parametrize("state", ["active", "deletion_scheduled", "deleted"])
async def test_pages_of_a_state_are_filled_from_several_batches(
    http: httpx.AsyncClient, database: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(listing, "BATCH", 2)
    name = f"Batches {uuid4()}"
    made: dict[str, list[UUID]] = {"active": [], "deletion_scheduled": [], "deleted": []}
    for number in range(7):
        created_at = NOON - timedelta(days=number)
        made["active"].append(await add_tenant(database, name, created_at=created_at))
        # Those that belong into no list of a state: a foreign name, and a tenant that exists again.
        for each in (name, f"other {uuid4()}"):
            doomed = await add_tenant(database, each, created_at=created_at)
            await add_deletion(database, doomed, BEFORE_PURGE, tenant_created_at=created_at)
            made["deletion_scheduled"] += [doomed] if each == name else []
        made["deleted"].append(await add_deleted(database, name, deleted_at=created_at))
        restored = await add_tenant(database, f"again {uuid4()}", created_at=created_at)
        await add_deletion(database, restored, tenant_name=name, deleted_at=created_at)
    seen: list[str] = []
    params: dict[str, Any] = {"search": name, "state": state, "pageSize": 3}
    while True:
        page = (await http.get("/tenants", params=params)).json()
        seen += [tenant["tenantId"] for tenant in page["tenants"]]
        if page["nextPageToken"] is None:
            break
        params["pageToken"] = page["nextPageToken"]
    assert seen == ids(*made[state])


async def test_a_bound_caller_sees_only_its_own_deletion(
    gateway: RunningGateway, keys: Keys, database: asyncpg.Connection
) -> None:
    name = f"Bound {uuid4()}"
    for state in ("deleted", "deletion_scheduled"):
        own, other = [
            await add_deleted(database, name) if state == "deleted" else await add_tenant(database, name)
            for _ in range(2)
        ]
        if state != "deleted":
            for tenant_id in (own, other):
                await add_deletion(database, tenant_id, BEFORE_PURGE)
        key = (await keys.create("bound", tenant_id=own)).key
        async with gateway.client(**{"X-API-Key": key}) as http:
            assert await listed(http, state=state) == ids(own)
            assert (await http.get(f"/tenants/{own}")).json()["state"] == state
            assert (await http.get(f"/tenants/{other}")).status_code == 404
