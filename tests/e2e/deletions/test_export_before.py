"""The export before a deletion: it stops with an undo, and its failure waits for a person."""

from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import UUID

import anyio
import asyncpg
import httpx
import pytest

from tests.e2e.conftest import PATIENCE, Service
from tests.e2e.deletions.places import EXPORT_BEGINS, EXPORTING, add_places
from tests.e2e.deletions.test_deletion import delete, read
from tests.e2e.obstacles import FINAL_ERROR, obstacle, waiting
from tests.e2e.trials import Rows, tenants_rows
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

RECORDS = "pending_tenant_deletions"
IS_STOPPING = """
    SELECT EXISTS (SELECT FROM alga_tenants.cancellations c JOIN alga_tenants.operations o USING (workflow_id, run_id)
        WHERE o.tenant_id = $1 AND o.kind = 'tenant_export')
"""


@pytest.fixture
async def tenant_id(service: Service, database: asyncpg.Connection) -> str:
    await add_places(database)
    created: str = (await service.provision())["tenantId"]
    return created


async def rows_of(database: asyncpg.Connection, tenant_id: str) -> Rows:
    """Return the tenant's rows without Alga's record of the deletion, which stays after an undo."""
    rows = (await tenants_rows(database, [UUID(tenant_id)]))[UUID(tenant_id)]
    return Rows({row: count for row, count in rows.items() if row[0] != RECORDS})


async def send(service: Service, path: str) -> httpx.Response:
    response = await service.http.post(path, json={})
    assert response.status_code == 202, response.text
    return response


async def check_undone(service: Service, database: asyncpg.Connection, tenant_id: str, before: Rows) -> None:
    [deletion] = (
        await service.http.get("/operations", params={"tenantId": tenant_id, "kind": "tenant_deletion"})
    ).json()["operations"]
    ended = await service.finished(deletion["workflowId"])
    assert (ended["status"], ended["warnings"]) == ("cancelled", []), ended
    assert await rows_of(database, tenant_id) == before
    assert (await read(service, tenant_id))["state"] == "active"


async def test_an_undo_stops_the_export_and_leaves_nothing_of_it(
    service: Service, database: asyncpg.Connection, tenant_id: str
) -> None:
    before = await rows_of(database, tenant_id)
    async with waiting(database, EXPORTING, UUID(tenant_id)) as gate:
        await delete(service, tenant_id, export=True)
        await gate.reached()
        await send(service, f"/tenants/{tenant_id}/deletion/undo")
        # The export goes on before the deletion has ended, so that only its own row can stop it.
        await wait_until(lambda: database.fetchval(IS_STOPPING, UUID(tenant_id)), timeout=PATIENCE)
    await check_undone(service, database, tenant_id, before)
    [export] = (await service.http.get(f"/tenants/{tenant_id}/exports")).json()["exports"]
    assert export["state"] == "cancelled"
    store = Path(unquote(urlsplit(service.environment["EXPORT_URL"]).path))
    assert not await anyio.Path(store / tenant_id).exists()


@pytest.mark.parametrize("is_repaired", [True, False])
async def test_a_deletion_whose_export_has_failed_goes_on_after_a_repair_or_is_undone(
    service: Service, database: asyncpg.Connection, tenant_id: str, is_repaired: bool
) -> None:
    before = await rows_of(database, tenant_id)
    async with obstacle(database, EXPORT_BEGINS, UUID(tenant_id), FINAL_ERROR):
        operation = await delete(service, tenant_id, export=True, confirm=True, gracePeriodDays=0)
        parked = await service.shown(operation["workflowId"], "needs_attention", "failed", "completed")
        assert (parked["status"], parked["step"]) == ("needs_attention", "export"), parked
        assert parked["error"]["code"] == "constraint-violation"
        if not is_repaired:
            await send(service, f"/tenants/{tenant_id}/deletion/undo")
            await check_undone(service, database, tenant_id, before)
            return
    await send(service, f"/operations/{operation['workflowId']}/resume")
    ended = await service.finished(operation["workflowId"])
    assert ended["status"] == "completed", ended
    assert await rows_of(database, tenant_id) == Rows()
    certificate = await read(service, f"{tenant_id}/deletion/certificate")
    exports = (await service.http.get(f"/tenants/{tenant_id}/exports")).json()["exports"]
    assert {export["exportId"]: export["state"] for export in exports}[certificate["exportId"]] == "completed"
