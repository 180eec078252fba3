"""A tenant with a row in every table: undone deletions put back every row, and a done one removes exactly them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.e2e.conftest import Service, in_both_shapes
from tests.e2e.deletions.full_tenants import LOOSEN, RECORDS, removing, write_tenant
from tests.e2e.deletions.test_deletion import delete, read
from tests.e2e.obstacles import LASTING_ERROR, obstacle
from tests.support.tenants.rows import fingerprints
from workflows.tenants.steps import COMPLETE

pytestmark = pytest.mark.anyio

NEIGHBOURS = (UUID("00000000-0000-4000-8000-000000000001"), UUID("ffffffff-ffff-4fff-bfff-fffffffffffe"))

Rows = dict[str, str | None]


@dataclass(frozen=True)
class Doomed:
    """A tenant, and hashes of all tables without it and with it. A record of an undone deletion stays."""

    tenant_id: UUID
    without: Rows
    with_it: Rows
    look: Callable[[], Awaitable[Rows]]

    async def changed(self, before: Rows) -> set[str]:
        """Return the tables that differ from before."""
        now = await self.look()
        return {table for table, rows in now.items() if before[table] != rows} - {RECORDS}


@pytest.fixture(scope="module")
async def neighbours(running: Service) -> AsyncIterator[None]:
    """Two tenants with a row in every table, whose ids are the first and the last."""
    url = running.installation.admin_database_url
    async with removing(url, NEIGHBOURS):
        database = await asyncpg.connect(url)
        if running.shape == "citus":
            await database.execute(LOOSEN)
        for tenant_id in NEIGHBOURS:
            await write_tenant(database, running.shape, tenant_id)
        await database.close()
        yield


@pytest.fixture(scope="module")
async def doomed(running: Service, neighbours: None) -> AsyncIterator[Doomed]:  # noqa: ARG001
    tenant_id, database = uuid4(), await asyncpg.connect(running.installation.admin_database_url)
    without = await fingerprints(database)
    await write_tenant(database, running.shape, tenant_id)
    yield Doomed(tenant_id, without, await fingerprints(database), partial(fingerprints, database))
    await database.close()


async def undo(service: Service, tenant_id: UUID, operation: dict[str, Any]) -> None:
    response = await service.http.post(f"/tenants/{tenant_id}/deletion/undo", json={"reason": "paid"})
    assert response.status_code == 202, response.text
    ended = await service.finished(operation["workflowId"])
    assert ended["status"] == "cancelled", ended


@in_both_shapes
async def test_a_deletion_that_is_undone_before_its_confirmation_puts_back_every_row(
    service: Service, doomed: Doomed
) -> None:
    tenant_id = doomed.tenant_id
    operation = await delete(service, str(tenant_id))
    await service.shown(operation["workflowId"], "awaiting_confirmation")
    assert await doomed.changed(doomed.with_it) == {"tenants", "users", "email_providers"}
    await undo(service, tenant_id, operation)
    assert await doomed.changed(doomed.with_it) == set()


async def test_a_deletion_that_is_undone_later_puts_back_every_row(
    service: Service, database: asyncpg.Connection, doomed: Doomed
) -> None:
    tenant_id = doomed.tenant_id
    # After a purge that has failed at its very end.
    async with obstacle(database, COMPLETE, tenant_id, LASTING_ERROR):
        operation = await delete(service, str(tenant_id), confirm=True, gracePeriodDays=0)
        parked = await service.shown(operation["workflowId"], "needs_attention")
        await undo(service, tenant_id, operation)
    assert parked["error"]["code"] == "database-failure"
    assert await doomed.changed(doomed.with_it) == set()
    # In the grace period, of a tenant that was suspended before: it stays so.
    suspension = f"/tenants/{tenant_id}/suspension"
    assert (await service.http.put(suspension, json={"reason": "unpaid"})).status_code == 200
    suspended = await doomed.look()
    operation = await delete(service, str(tenant_id), confirm=True, gracePeriodDays=30)
    await service.shown(operation["workflowId"], "waiting")
    await undo(service, tenant_id, operation)
    assert await doomed.changed(suspended) == set()
    assert (await read(service, str(tenant_id)))["state"] == "suspended"
    assert (await service.http.delete(suspension)).status_code == 200
    assert await doomed.changed(doomed.with_it) == set()


@in_both_shapes
async def test_a_deletion_removes_the_shown_rows_and_no_others(
    service: Service, database: asyncpg.Connection, doomed: Doomed
) -> None:
    tenant_id = doomed.tenant_id
    operation = await delete(service, str(tenant_id), gracePeriodDays=0)
    await service.shown(operation["workflowId"], "awaiting_confirmation")
    footprint = await read(service, f"{tenant_id}/footprint")
    assert (await service.http.post(f"/tenants/{tenant_id}/deletion/confirm")).status_code == 202
    ended = await service.finished(operation["workflowId"])
    assert ended["status"] == "completed", ended
    certificate = await read(service, f"{tenant_id}/deletion/certificate")
    assert certificate["rowsRemoved"] == footprint["tables"]
    assert certificate["rowsRemaining"] == 0
    assert (await read(service, f"{tenant_id}/footprint"))["rows"] == 0
    assert await doomed.changed(doomed.without) == set()
    query = "SELECT status FROM pending_tenant_deletions WHERE tenant = $1"
    statuses = await database.fetch(query, tenant_id)
    assert [row["status"] for row in statuses] == (["deleted"] if service.shape == "citus" else [])
    assert (RECORDS in certificate["rowsRemoved"]) == (service.shape == "plain")
