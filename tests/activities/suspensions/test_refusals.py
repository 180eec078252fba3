"""What can't be suspended, and what an older version of Alga leaves out."""

from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.suspensions.activities import SuspensionActivities
from activities.suspensions.rows import Standing, find_standing, reactivate, suspend
from tests.activities.conftest import ON_ONE_SHAPE
from tests.activities.purge.conftest import driver, rolled_back, run_script
from tests.activities.suspensions.conftest import MANAGEMENT_TENANT, asking, undoing
from tests.activities.suspensions.test_exactness import ACTIVE_USERS, UNPAUSED, differing
from tests.activities.suspensions.test_meanwhile import error_of
from tests.activities.tenants.attempts import everything
from tests.support.audit import AUDIT
from tests.support.tenants.rows import fingerprints

pytestmark = [pytest.mark.anyio, ON_ONE_SHAPE]

NO_COLUMNS = "ALTER TABLE tenants DROP COLUMN suspended_at, DROP COLUMN suspended_reason"
NO_PAUSE = "ALTER TABLE email_providers DROP COLUMN inbound_paused_at, DROP COLUMN inbound_pause_reason"
NO_TABLE = "DROP TABLE email_providers CASCADE"


async def test_a_protected_or_unknown_tenant_is_refused(
    suspending: SuspensionActivities, engine: AsyncEngine, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    unprotected = SuspensionActivities(engine, AUDIT, None)
    before = await everything(database)
    for activities, tenant, code, text in (
        (unprotected, tenant_id, "management-tenant-unknown", "set MASTER_BILLING_TENANT_ID of the worker"),
        (suspending, MANAGEMENT_TENANT, "management-tenant", "never suspended"),
        (suspending, uuid4(), "tenant-not-found", "there is no such tenant"),
    ):
        for call in (activities.suspend_tenant(asking(tenant)), activities.reactivate_tenant(undoing(tenant))):
            error = await error_of(call)
            assert (error.type, error.non_retryable) == (code, True)
            assert text in error.message
    assert await everything(database) == before


@pytest.mark.parametrize(
    ("older", "left_out"),
    [
        ([NO_COLUMNS], ["tenants.suspended_at and tenants.suspended_reason"]),
        ([NO_PAUSE], ["email_providers.inbound_pause_reason and email_providers.inbound_paused_at"]),
        ([NO_COLUMNS, NO_TABLE], ["email_providers.inbound_pause", "tenants.suspended_at"]),
    ],
)
async def test_what_an_older_alga_lacks_is_left_out_with_a_warning(
    database_url: str, tenant_id: UUID, older: list[str], left_out: list[str]
) -> None:
    async with rolled_back(database_url) as connection:
        await run_script(connection, ";".join(older))
        raw = await driver(connection)
        before = await fingerprints(raw)
        context = asking(tenant_id).operation
        assert await find_standing(connection, tenant_id) is Standing.ACTIVE
        changed = await suspend(connection, context, "unpaid")
        assert await find_standing(connection, tenant_id) is Standing.SUSPENDED
        assert {warning.code for warning in changed.warnings} == {"suspension-incomplete"}
        for warning, columns in zip(changed.warnings, left_out, strict=True):
            assert columns in warning.detail
        expected = {"users": ACTIVE_USERS, "email_providers": UNPAUSED, "tenants": 1}
        assert changed.rows == {table: expected[table] for table in changed.rows}
        assert len(changed.rows) == 3 - len(left_out)
        assert differing(before, await fingerprints(raw)) == changed.rows.keys()
        assert (await suspend(connection, context, "unpaid")).rows == {}
        undone = await reactivate(connection, tenant_id)
        assert undone is not None
        assert undone.warnings == []
        assert {table: rows for table, rows in undone.rows.items() if rows} == changed.rows
        assert differing(before, await fingerprints(raw)) == set()
        assert await find_standing(connection, tenant_id) is Standing.ACTIVE
