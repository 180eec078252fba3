"""The outbox: triggers write events in the transaction of the change that they report."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import make_url

from migrations.upgrade import upgrade
from tests.support.servers.databases import NewDatabase

pytestmark = pytest.mark.anyio

TENANT = UUID("5d5b2a4e-5a53-4a3c-9b77-6b5f9c1c1a01")


@pytest.fixture
async def pool(new_database: NewDatabase) -> AsyncIterator[asyncpg.Pool]:
    database = new_database()
    await upgrade(make_url(database).set(drivername="postgresql+asyncpg"))
    async with asyncpg.create_pool(database, min_size=1, max_size=8) as pool:
        yield pool


async def add_webhook(pool: asyncpg.Pool, event_types: str = "[]") -> UUID:
    webhook: UUID = await pool.fetchval(
        "INSERT INTO alga_tenants.webhooks (webhook_id, url, event_types) VALUES ($1, 'https://example.com', $2)"
        " RETURNING webhook_id",
        uuid4(),
        event_types,
    )
    return webhook


async def add_operation(connection: Any, kind: str = "tenant_creation", tenant: UUID | None = TENANT) -> str:
    workflow_id = f"{kind}-{uuid4()}"
    await connection.execute(
        "INSERT INTO alga_tenants.operations (workflow_id, run_id, kind, tenant_id, tenant_name, status)"
        " VALUES ($1, 'run', $2, $3, 'Acme', 'queued')",
        workflow_id,
        kind,
        tenant,
    )
    return workflow_id


async def complete(connection: Any, workflow_id: str) -> None:
    await connection.execute(
        "UPDATE alga_tenants.operations SET status = 'completed', committed_at = now(), finished_at = now()"
        " WHERE workflow_id = $1",
        workflow_id,
    )


async def recorded(pool: asyncpg.Pool) -> list[tuple[str, int | None]]:
    rows = await pool.fetch("SELECT type, sequence FROM alga_tenants.events ORDER BY occurred_at, sequence")
    return [(row["type"], row["sequence"]) for row in rows]


async def test_without_a_webhook_nothing_is_written(pool: asyncpg.Pool) -> None:
    await complete(pool, await add_operation(pool))
    assert await recorded(pool) == []
    assert await pool.fetchval("SELECT count(*) FROM alga_tenants.event_sequences") == 0


async def test_each_change_of_a_tenant_and_of_a_status_is_an_event(pool: asyncpg.Pool) -> None:
    await add_webhook(pool)
    workflow_id = await add_operation(pool)
    await pool.execute("UPDATE alga_tenants.operations SET step = 'validate', progress = 5")
    await complete(pool, workflow_id)
    assert await recorded(pool) == [("operation.queued", 1), ("tenant.created", 2), ("operation.completed", 3)]
    data = await pool.fetchval("SELECT data FROM alga_tenants.events WHERE type = 'operation.completed'")
    assert '"step": "validate"' in data
    assert f'"workflowId": "{workflow_id}"' in data


async def test_a_webhook_receives_what_it_asked_for(pool: asyncpg.Pool) -> None:
    everything = await add_webhook(pool)
    one_type = await add_webhook(pool, '["tenant.created"]')
    group = await add_webhook(pool, '["operation.*"]')
    await complete(pool, await add_operation(pool))
    rows = await pool.fetch(
        "SELECT d.webhook_id, array_agg(e.type ORDER BY e.sequence) AS types FROM alga_tenants.deliveries d"
        " JOIN alga_tenants.events e USING (event_id) GROUP BY d.webhook_id"
    )
    assert {row["webhook_id"]: row["types"] for row in rows} == {
        everything: ["operation.queued", "tenant.created", "operation.completed"],
        one_type: ["tenant.created"],
        group: ["operation.queued", "operation.completed"],
    }


async def test_a_transaction_that_is_rolled_back_leaves_no_event_and_no_gap(pool: asyncpg.Pool) -> None:
    await add_webhook(pool)
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await add_operation(connection)
        await transaction.rollback()
    await add_operation(pool)
    assert await recorded(pool) == [("operation.queued", 1)]


async def test_simultaneous_changes_of_a_tenant_are_numbered_without_gaps(pool: asyncpg.Pool) -> None:
    await add_webhook(pool)
    await asyncio.gather(*(add_operation(pool, kind="tenant_export") for _ in range(40)))
    numbers = await pool.fetch("SELECT sequence FROM alga_tenants.events ORDER BY sequence")
    assert [row["sequence"] for row in numbers] == list(range(1, 41))


async def test_an_open_transaction_blocks_no_other_operation_of_its_tenant(pool: asyncpg.Pool) -> None:
    await add_webhook(pool)
    async with pool.acquire() as connection, connection.transaction():
        await add_operation(connection, kind="tenant_export")
        async with asyncio.timeout(30):
            await add_operation(pool, kind="tenant_export")
        assert await recorded(pool) == [("operation.queued", 1)]
    assert await recorded(pool) == [("operation.queued", 1), ("operation.queued", 2)]


async def test_an_operation_without_a_tenant_has_no_number(pool: asyncpg.Pool) -> None:
    await add_webhook(pool)
    await add_operation(pool, tenant=None)
    assert await recorded(pool) == [("operation.queued", None)]


async def test_a_deletion_reports_its_request_its_confirmation_and_its_undo(pool: asyncpg.Pool) -> None:
    await add_webhook(pool)
    await pool.execute(
        "INSERT INTO alga_tenants.deletions (workflow_id, run_id, deletion_id, tenant_id, grace_period_days)"
        " VALUES ('deletion', 'run', $1, $2, 30)",
        uuid4(),
        TENANT,
    )
    for column in ("confirmed_at", "undone_at"):
        await pool.execute(f"UPDATE alga_tenants.deletions SET {column} = now()")  # noqa: S608 - a constant
    assert [kind for kind, _ in await recorded(pool)] == [
        "tenant.deletion_requested",
        "tenant.deletion_confirmed",
        "tenant.deletion_undone",
    ]
