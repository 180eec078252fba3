"""Exports are listed by their tenant's id and name, and by whether there is an archive."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.export.rows import ArchiveState, ExportFilter, list_exports
from tests.activities.conftest import ON_ONE_SHAPE

pytestmark = [pytest.mark.anyio, ON_ONE_SHAPE]

PAST, FUTURE = -timedelta(days=1), timedelta(days=1)
# When each was completed, expires, and was removed, from now on.
ROWS = {
    "kept": (PAST, FUTURE, None),
    "imported": (PAST, None, None),
    "expired": (PAST, PAST, None),
    "removed": (PAST, FUTURE, PAST),
    "unfinished": (None, None, None),
}


@pytest.fixture
async def tenant_id(database: asyncpg.Connection) -> AsyncIterator[UUID]:
    """A tenant with an export in every state, the first one newest, each under another name of the tenant."""
    tenant_id, now = uuid4(), datetime.now(UTC)
    for age, (name, lengths) in enumerate(ROWS.items()):
        times = (now + length if length is not None else None for length in lengths)
        await database.execute(
            "INSERT INTO alga_tenants.exports (export_id, tenant_id, tenant_name, workflow_id, run_id,"
            " include_secrets, requested_at, completed_at, expires_at, removed_at)"
            " VALUES ($1, $2, $3, 'any', 'run', false, $4, $5, $6, $7)",
            uuid4(), tenant_id, f"100% {name.upper()}", now - timedelta(minutes=age), *times,
        )  # fmt: skip
    yield tenant_id
    await database.execute("DELETE FROM alga_tenants.exports WHERE tenant_id = $1", tenant_id)


async def names(engine: AsyncEngine, wanted: ExportFilter) -> list[str]:
    async with engine.connect() as connection:
        found = await list_exports(connection, wanted, limit=10)
    return [str(record.tenant_name).removeprefix("100% ").lower() for record in found]


async def test_each_export_is_in_the_list_of_its_state(engine: AsyncEngine, tenant_id: UUID) -> None:
    expected = {
        None: list(ROWS),
        ArchiveState.KEPT: ["kept", "imported"],
        ArchiveState.GONE: ["expired", "removed"],
        ArchiveState.UNFINISHED: ["unfinished"],
    }
    for state, listed in expected.items():
        assert await names(engine, ExportFilter(tenant_id=tenant_id, archive=state)) == listed


async def test_a_name_is_found_in_any_case_and_its_signs_are_no_patterns(
    engine: AsyncEngine, tenant_id: UUID
) -> None:
    assert await names(engine, ExportFilter(tenant_id, name="% expi")) == ["expired"]
    assert await names(engine, ExportFilter(tenant_id, name="0%e")) == []
    assert await names(engine, ExportFilter(uuid4(), name="expi")) == []
