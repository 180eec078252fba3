"""The first step of a deletion: what it says of an older Alga, and of rows that it could not count."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.deletions.activities import DeletionActivities
from tests.activities.conftest import ON_ONE_SHAPE, RUN
from tests.activities.suspensions.conftest import MANAGEMENT_TENANT, add_tenant
from tests.activities.suspensions.test_exactness import ACTIVE_USERS
from tests.support.audit import AUDIT
from workflows.operations.kinds import initial_snapshot
from workflows.operations.messages import OperationContext
from workflows.tenants.deletions.messages import DeletionInput, DeletionRequest
from workflows.tenants.steps import DELETION

pytestmark = [pytest.mark.anyio, ON_ONE_SHAPE]

RENAME = "ALTER TABLE email_providers RENAME COLUMN {} TO {}"
COLUMN, OTHER = "inbound_pause_reason", "not_yet_in_alga"
RECORD = "SELECT stats_snapshot::jsonb ->> $2 FROM pending_tenant_deletions WHERE tenant = $1"


@pytest.fixture
async def tenant_id(database: asyncpg.Connection) -> UUID:
    return await add_tenant(database, "plain")


@pytest.fixture
def deletions(engine: AsyncEngine) -> DeletionActivities:
    return DeletionActivities(engine, AUDIT, MANAGEMENT_TENANT, can_export=False)


@pytest.fixture
async def tenant_of_older_alga(database: asyncpg.Connection, tenant_id: UUID) -> AsyncIterator[UUID]:
    """A tenant in Alga's tables as they were before mailboxes could be paused."""
    await database.execute(RENAME.format(COLUMN, OTHER))
    yield tenant_id
    await database.execute(RENAME.format(OTHER, COLUMN))


def asking(tenant_id: UUID) -> DeletionInput:
    """Return the argument of the activities of a new deletion."""
    snapshot = initial_snapshot(DELETION).model_copy(update={"tenant_id": tenant_id, "started_at": datetime.now(UTC)})
    context = OperationContext(workflow_id=DELETION.workflow_id(uuid4()), run_id=RUN, snapshot=snapshot)
    return DeletionInput(operation=context, request=DeletionRequest(tenant_id=tenant_id, export=False))


async def test_what_an_older_alga_lacks_is_a_warning_of_each_attempt(
    deletions: DeletionActivities, tenant_of_older_alga: UUID
) -> None:
    given = asking(tenant_of_older_alga)
    # The result of the first attempt can be lost.
    first, second = await deletions.begin_deletion(given), await deletions.begin_deletion(given)
    assert first == second
    assert first.is_recorded
    [warning] = first.warnings
    assert warning.code == "suspension-incomplete"
    assert f"email_providers.{COLUMN}" in warning.detail


async def test_rows_that_can_not_be_counted_soon_do_not_keep_a_deletion_from_beginning(
    deletions: DeletionActivities, database: asyncpg.Connection, database_url: str, tenant_id: UUID
) -> None:
    given = asking(tenant_id)
    holder = await asyncpg.connect(database_url)
    try:
        async with holder.transaction():
            # For the count this is as a table of millions of rows.
            await holder.execute("LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE")
            first = await deletions.begin_deletion(given)
    finally:
        await holder.close()
    second = await deletions.begin_deletion(given)
    assert first == second
    stats = first.stats
    assert stats is not None
    users = await database.fetchval("SELECT count(*) FROM users WHERE tenant = $1", tenant_id)
    assert (stats["userCount"], stats["ticketCount"], stats["openTicketCount"]) == (users, None, None)
    assert await database.fetchval(RECORD, tenant_id, "userCount") == str(users)
    assert await database.fetchval(RECORD, tenant_id, "ticketCount") is None
    [warning] = first.warnings
    assert warning.code == "not-counted"
    assert "no ticketCount, openTicketCount of the tenant" in warning.detail
    # The limit was that of the counts alone.
    assert (await deletions.read_deletion(given)).is_recorded


async def test_a_deletion_with_nothing_left_out_has_no_warnings(
    deletions: DeletionActivities, tenant_id: UUID
) -> None:
    state = await deletions.begin_deletion(asking(tenant_id))
    assert state.warnings == ()
    assert state.stats is not None
    assert (state.stats["activeUserCount"], state.stats["ticketCount"]) == (ACTIVE_USERS, 1)
