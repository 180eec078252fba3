"""Suspensions over HTTP on all of Alga's tables."""

from typing import Any

import asyncpg
import httpx
import pytest

from tests.e2e.conftest import Service, in_both_shapes
from tests.support.tenants.rows import fingerprints

pytestmark = pytest.mark.anyio

AT_ONCE = {"Prefer": "wait=0"}


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
