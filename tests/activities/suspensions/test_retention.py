"""Records of suspensions are deleted once the tenant is gone for good."""

from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.suspensions import retention
from activities.suspensions.retention import prune_suspensions
from tests.activities.conftest import ON_ONE_SHAPE
from tests.activities.suspensions.conftest import insert

pytestmark = [pytest.mark.anyio, ON_ONE_SHAPE]


@pytest.fixture(autouse=True)
async def empty(database: asyncpg.Connection) -> None:
    await database.execute("TRUNCATE alga_tenants.suspensions, alga_tenants.suspended_rows, alga_tenants.exports")


async def suspended(database: asyncpg.Connection) -> UUID:
    """Return a tenant that has only the record of its suspension left."""
    tenant_id = uuid4()
    await insert(database, "alga_tenants.suspensions", tenant_id=tenant_id, workflow_id="w", run_id="r")
    row = {"tenant_id": tenant_id, "table_name": "users", "row_id": str(uuid4()), "before": "{}"}
    await insert(database, "alga_tenants.suspended_rows", **row)
    return tenant_id


async def add_export(database: asyncpg.Connection, tenant_id: UUID) -> UUID:
    export_id = uuid4()
    row = {"export_id": export_id, "tenant_id": tenant_id, "workflow_id": str(uuid4()), "run_id": "r"}
    await insert(database, "alga_tenants.exports", include_secrets=True, **row)
    await database.execute("UPDATE alga_tenants.exports SET completed_at = now() WHERE export_id = $1", export_id)
    return export_id


async def add_tenant_row(database: asyncpg.Connection, tenant_id: UUID) -> None:
    row = {"client_name": "Acme", "email": "ada@acme.example", "billing_source": "manual"}
    await insert(database, "tenants", tenant=tenant_id, **row)


async def kept(database: asyncpg.Connection) -> set[UUID]:
    """Return the tenants with records, which are the same in both tables."""
    tables = ("suspensions", "suspended_rows")
    found, rows = [
        {row[0] for row in await database.fetch(f"SELECT tenant_id FROM alga_tenants.{table}")}  # noqa: S608
        for table in tables
    ]
    assert found == rows
    return found


async def test_records_of_a_deleted_tenant_go_with_its_last_archive(
    database: asyncpg.Connection, engine: AsyncEngine
) -> None:
    gone, restorable = await suspended(database), await suspended(database)
    exports = [await add_export(database, restorable) for _ in range(2)]
    await add_export(database, uuid4())
    assert await prune_suspensions(engine) == 1
    assert await kept(database) == {restorable}
    for left, export_id in ((1, exports[0]), (0, exports[1])):
        await database.execute("UPDATE alga_tenants.exports SET removed_at = now() WHERE export_id = $1", export_id)
        assert await prune_suspensions(engine) == 1 - left
        assert len(await kept(database)) == left
    assert gone not in await kept(database)


async def test_records_stay_while_the_tenant_exists_or_is_being_restored(
    database: asyncpg.Connection, engine: AsyncEngine
) -> None:
    living, restoring = await suspended(database), await suspended(database)
    await add_tenant_row(database, living)
    operation = {"workflow_id": str(uuid4()), "run_id": "r", "kind": "tenant_restore", "status": "running"}
    await insert(database, "alga_tenants.operations", tenant_id=restoring, **operation)
    assert await prune_suspensions(engine) == 0
    assert await kept(database) == {living, restoring}
    await database.execute("UPDATE alga_tenants.operations SET finished_at = now() WHERE tenant_id = $1", restoring)
    assert await prune_suspensions(engine) == 1
    await database.execute("DELETE FROM tenants WHERE tenant = $1", living)
    assert await prune_suspensions(engine) == 1


async def test_more_tenants_than_fit_into_one_query_are_looked_at(
    database: asyncpg.Connection, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    tenants = [await suspended(database) for _ in range(5)]
    for tenant_id in sorted(tenants)[:3]:
        await insert(
            database, "tenants", tenant=tenant_id, client_name="Acme", email="a@acme.example", billing_source="x"
        )
    assert await prune_suspensions(engine) == 2
    assert await kept(database) == set(sorted(tenants)[:3])
    await database.execute("DELETE FROM tenants WHERE tenant = ANY ($1)", tenants)
