"""The comparison of a purge with plain DELETEs, with few rows."""

from uuid import UUID

import asyncpg
import pytest

from app.settings import Settings
from bench.databases.large_tenant import GROWTH, grow
from bench.sections.purge import compare
from tests.app.gateway.server import RunningGateway
from tests.support.tenants.rows import row_counts

pytestmark = pytest.mark.anyio

ROWS = 1000


def test_the_parts_of_the_tables_are_a_whole() -> None:
    assert sum(growth.part for growth in GROWTH.values()) == pytest.approx(1)


async def test_both_ways_delete_all_rows_of_a_created_tenant(
    gateway: RunningGateway,
    worker: None,  # noqa: ARG001 - creates the tenant
    settings: Settings,
    database: asyncpg.Connection,
) -> None:
    body = {
        "tenantName": "Large",
        "adminUser": {"firstName": "Ada", "lastName": "Byron", "email": "ada@large.example"},
    }
    async with gateway.client() as http:
        created = await http.post("/tenants", json=body, headers={"Prefer": "wait=60"})
    assert created.status_code == 201, created.text
    tenant_id = UUID(created.json()["tenantId"])
    before = await row_counts(database, tenant_id)
    await grow(database, tenant_id, 0)
    assert await row_counts(database, tenant_id) == before

    measured = await compare(settings.admin_database_url.get_secret_value(), tenant_id, ROWS, 2)

    added = {
        table: round(growth.part * ROWS)
        for table, growth in GROWTH.items()
        if await database.fetchval("SELECT to_regclass($1) IS NOT NULL", table)
    }
    assert measured.rows == {sum(before.values()) + sum(added.values())}
    assert [len(taken) for taken in measured.seconds.values()] == [2, 2]
    assert await row_counts(database, tenant_id) == {
        table: before.get(table, 0) + added.get(table, 0) for table in {*before, *added}
    }
