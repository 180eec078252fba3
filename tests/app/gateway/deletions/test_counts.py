"""The numbers of open deletions for the metrics."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.deletions.queries import count_open_deletions
from app.database import worker_engine
from app.settings import Settings
from tests.app.gateway.rows import NOON, add_deletion

pytestmark = pytest.mark.anyio


async def counted(engine: AsyncEngine) -> dict[str, int]:
    async with engine.connect() as connection:
        return await count_open_deletions(connection)


async def test_deletions_are_counted_by_what_they_wait_for_and_by_what_is_wrong(
    settings: Settings, database: asyncpg.Connection
) -> None:
    engine = worker_engine(settings)
    try:
        before = await counted(engine)
        now = datetime.now(UTC)
        await add_deletion(database, uuid4(), "await_confirmation")
        await add_deletion(
            database, uuid4(), "wait_grace_period", scheduled_for=now + timedelta(days=1), confirmed_at=NOON
        )
        on_time = now - timedelta(minutes=50)
        await add_deletion(database, uuid4(), "purge", scheduled_for=on_time, confirmed_at=NOON)
        late = await add_deletion(
            database, uuid4(), "purge", scheduled_for=now - timedelta(minutes=70), confirmed_at=NOON
        )
        failing = "UPDATE alga_tenants.operations SET status = 'needs_attention' WHERE workflow_id = $1"
        await database.execute(failing, late)
        await database.execute(failing, await add_deletion(database, uuid4(), "await_confirmation"))
        # These have ended.
        await add_deletion(database, uuid4(), undone_at=NOON, scheduled_for=NOON, confirmed_at=NOON)
        await add_deletion(database, uuid4(), deleted_at=NOON, scheduled_for=NOON, confirmed_at=NOON)
        after = await counted(engine)
    finally:
        await engine.dispose()
    found = {state: after[state] - before[state] for state in after}
    assert found == {"awaiting_confirmation": 2, "scheduled": 1, "overdue": 1, "failing": 1}
