"""Operations are counted, and their durations measured, by an index and within one tenant if wanted."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.operations.statistics import (
    Durations,
    HourCount,
    count_by_hour,
    count_by_status,
    measure_durations,
)
from workflows.operations.statuses import OperationStatus

pytestmark = pytest.mark.anyio

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TENANT = UUID("1b4e28ba-2fa1-41d2-883f-0016d3cca427")


async def add(
    database: asyncpg.Connection,
    started: datetime,
    status: str = "completed",
    *,
    kind: str = "tenant_creation",
    took: timedelta | None = SECOND,
    tenant_id: UUID = TENANT,
) -> None:
    await database.execute(
        "INSERT INTO alga_tenants.operations (workflow_id, run_id, kind, tenant_id, status, started_at, finished_at)"
        " VALUES ($1, 'run', $2, $3, $4, $5, $6)",
        str(uuid4()),
        kind,
        tenant_id,
        status,
        started,
        started + took if took is not None else None,
    )


async def test_operations_are_counted_by_hour_and_by_status(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection
) -> None:
    for minutes in (0, 30, 59):
        await add(audit_database, NOON + timedelta(minutes=minutes))
    await add(audit_database, NOON + HOUR, "failed")
    await add(audit_database, NOON - SECOND)
    await add(audit_database, NOON, "failed", tenant_id=uuid4())

    async with audit_engine.connect() as connection:
        hours = await count_by_hour(connection, NOON, TENANT)
        of_tenant = await count_by_status(connection, NOON, TENANT)
        of_all = await count_by_status(connection, NOON - HOUR, None)

    completed, failed = OperationStatus.COMPLETED, OperationStatus.FAILED
    assert set(hours) == {HourCount(NOON, completed, 3), HourCount(NOON + HOUR, failed, 1)}
    assert of_tenant == {completed: 3, failed: 1}
    assert of_all == {completed: 4, failed: 2}


async def test_durations_are_of_completed_operations_by_kind(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection
) -> None:
    for seconds in range(101):
        await add(audit_database, NOON, took=seconds * SECOND)
    await add(audit_database, NOON, kind="tenant_export", took=9 * SECOND)
    await add(audit_database, NOON, kind="tenant_deletion")
    await add(audit_database, NOON, "failed", took=HOUR)
    await add(audit_database, NOON, "running", took=None)
    await add(audit_database, NOON, took=HOUR, tenant_id=uuid4())

    async with audit_engine.connect() as connection:
        measured = await measure_durations(connection, NOON, TENANT, ["tenant_creation", "tenant_export"])

    assert measured == [Durations("tenant_creation", 101, 50, 95), Durations("tenant_export", 1, 9, 9)]


async def test_an_index_finds_the_operations_of_a_day_among_many(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection
) -> None:
    await audit_database.execute(
        "INSERT INTO alga_tenants.operations (workflow_id, run_id, kind, tenant_id, status, started_at, finished_at)"
        " SELECT n::text, 'run', 'tenant_creation', gen_random_uuid(), 'completed', at, at + interval '1 second'"
        " FROM generate_series(1, 10000) n, LATERAL (SELECT $1::timestamptz - n * interval '5 minutes' AS at) times",
        NOON,
    )
    await audit_database.execute("ANALYZE alga_tenants.operations")
    sent: list[tuple[str, tuple[object, ...]]] = []
    event.listen(
        audit_engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _k, statement, parameters, _x, _m: sent.append((statement, parameters)),
    )

    async with audit_engine.connect() as connection:
        await count_by_hour(connection, NOON - timedelta(days=1), None)
        await count_by_hour(connection, NOON - timedelta(days=1), TENANT)

    assert len(sent) == 2
    for statement, parameters in sent:
        lines = await audit_database.fetch(f"EXPLAIN {statement}", *parameters)
        plan = "\n".join(line[0] for line in lines)
        assert "Index" in plan, plan
        assert "Seq Scan" not in plan, plan
