"""Suspensions over HTTP on all of Alga's tables, also if the worker dies meanwhile."""

import signal
from typing import Any

import anyio
import asyncpg
import httpx
import pytest

from tests.e2e.conftest import Service, in_both_shapes
from tests.support.servers.processes import wait_for
from tests.support.tenants.rows import fingerprints
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

PATIENCE = 60.0
AT_ONCE = {"Prefer": "wait=0"}
IS_BLOCKED = """
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')
"""


async def change(service: Service, tenant_id: str, method: str, **headers: str) -> httpx.Response:
    body = {"reason": "unpaid"} if method == "PUT" else None
    return await service.http.request(method, f"/tenants/{tenant_id}/suspension", json=body, headers=headers)


async def settled(service: Service, tenant_id: str, method: str) -> dict[str, Any]:
    """Suspend or reactivate the tenant, and return the completed operation."""
    started = await change(service, tenant_id, method, **AT_ONCE)
    assert started.status_code == 202, started.text
    ended = await service.finished(started.json()["workflowId"])
    assert ended["status"] == "completed", ended
    return ended


@in_both_shapes
async def test_a_suspended_tenant_is_reactivated_byte_for_byte(
    service: Service, database: asyncpg.Connection
) -> None:
    tenant_id = (await service.provision())["tenantId"]
    before = await fingerprints(database)
    suspended = await settled(service, tenant_id, "PUT")
    assert (suspended["result"]["changedUsers"], suspended["warnings"]) == (1, [])
    assert (await service.http.get(f"/tenants/{tenant_id}")).json()["state"] == "suspended"
    mail = await service.http.post(f"/tenants/{tenant_id}/welcome-email")
    assert (await service.finished(mail.json()["workflowId"]))["error"]["code"] == "tenant-suspended"
    await settled(service, tenant_id, "DELETE")
    after = await fingerprints(database)
    assert {table for table in before if before[table] != after[table]} == set()


async def test_an_undone_deletion_leaves_the_tenant_suspended(service: Service) -> None:
    tenant_id = (await service.provision())["tenantId"]
    await settled(service, tenant_id, "PUT")
    body = {"reason": "contract ended", "export": False}
    deletion = (await service.http.post(f"/tenants/{tenant_id}/deletion", json=body)).json()["workflowId"]
    await service.shown(deletion, "awaiting_confirmation")
    for method in ("PUT", "DELETE"):
        refused = await change(service, tenant_id, method)
        assert (refused.status_code, refused.json()["code"]) == (409, "operation-in-progress")
        assert f"or undo it: POST /tenants/{tenant_id}/deletion/undo" in refused.json()["detail"]
    await service.http.post(f"/tenants/{tenant_id}/deletion/undo", json={"reason": "paid"})
    assert (await service.finished(deletion))["status"] == "cancelled"
    assert (await service.http.get(f"/tenants/{tenant_id}")).json()["state"] == "suspended"
    await settled(service, tenant_id, "DELETE")
    tenant = (await service.http.get(f"/tenants/{tenant_id}")).json()
    assert (tenant["state"], tenant["userCount"]) == ("active", 1)


async def test_a_suspension_survives_the_death_of_its_worker(service: Service, database: asyncpg.Connection) -> None:
    tenant_id = (await service.provision())["tenantId"]
    async with database.transaction():
        await database.execute("SELECT FROM users WHERE tenant = $1 FOR UPDATE", tenant_id)
        started = await change(service, tenant_id, "PUT", **AT_ONCE)
        await wait_until(lambda: database.fetchval(IS_BLOCKED), timeout=PATIENCE, every=0.05)
        service.worker.send_signal(signal.SIGKILL)
        await anyio.to_thread.run_sync(wait_for, lambda: service.worker.exit_status is not None)
    await anyio.to_thread.run_sync(service.worker.start)
    ended = await service.finished(started.json()["workflowId"])
    assert (ended["status"], ended["result"]["changedUsers"]) == ("completed", 1)
    records = "SELECT count(*) FROM alga_tenants.suspended_rows WHERE tenant_id = $1"
    assert await database.fetchval(records, tenant_id) == 2
