"""A suspension changes what Alga reads, and a reactivation puts back every row as it was."""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from activities.suspensions.activities import SuspensionActivities
from tests.activities.conftest import ON_ONE_SHAPE
from tests.activities.suspensions.conftest import PROVIDERS, USERS, asking, undoing
from tests.support.tenants.rows import fingerprints

pytestmark = pytest.mark.anyio

CHANGED = {"users", "email_providers", "tenants"}
# Beside those that the tenant has, one more of each by the row writer.
ACTIVE_USERS = 1 + sum(user["is_inactive"] is not True for user in USERS)
UNPAUSED = 1 + sum(
    "inbound_paused_at" not in provider and provider["is_active"] is not False for provider in PROVIDERS
)
MANY = 20_000


async def ours(database: asyncpg.Connection, tenant_id: UUID) -> int:
    """Return the number of our records of a suspension."""
    counts = [
        await database.fetchval(f"SELECT count(*) FROM alga_tenants.{table} WHERE tenant_id = $1", tenant_id)  # noqa: S608 - ours
        for table in ("suspensions", "suspended_rows")
    ]
    return sum(counts)


def differing(before: dict[str, str | None], after: dict[str, str | None]) -> set[str]:
    return {table for table in before if before[table] != after[table]}


async def test_a_suspended_tenant_is_what_alga_takes_for_one(
    suspending: SuspensionActivities, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    updated = "SELECT max(updated_at) FROM {} WHERE tenant = $1"
    times = [await database.fetchval(updated.format(table), tenant_id) for table in sorted(CHANGED)]
    committed = await suspending.suspend_tenant(asking(tenant_id))
    assert committed.warnings == ()
    tenant = await database.fetchrow(
        "SELECT suspended_at, suspended_reason FROM tenants WHERE tenant = $1", tenant_id
    )
    assert (isinstance(tenant["suspended_at"], datetime), tenant["suspended_reason"]) == (True, "tenant_cancelled")
    assert await database.fetchval("SELECT bool_and(is_inactive) FROM users WHERE tenant = $1", tenant_id) is True
    paused = "SELECT mailbox, inbound_pause_reason FROM email_providers WHERE tenant = $1"
    reasons: dict[str, Any] = dict(await database.fetch(paused, tenant_id))
    assert {name: reasons[name] for name in ("support", "unset", "off", "paused", "refused")} == {
        "support": "tenant_cancelled",
        "unset": "tenant_cancelled",
        "off": None,
        "paused": "manual",
        "refused": "auth_failure",
    }
    assert [await database.fetchval(updated.format(table), tenant_id) for table in sorted(CHANGED)] == times
    record = await database.fetchrow("SELECT * FROM alga_tenants.suspensions WHERE tenant_id = $1", tenant_id)
    assert (record["reason"], record["suspended_at"]) == ("unpaid", tenant["suspended_at"])


@ON_ONE_SHAPE
async def test_many_users_take_few_statements(
    suspending: SuspensionActivities,
    database: asyncpg.Connection,
    tenant_id: UUID,
    statements: Any,
) -> None:
    """Each of them has to end within the statement timeout of the engine."""
    add = (
        "INSERT INTO users (tenant, email, username, hashed_password, is_inactive)"
        " SELECT $1, 'user-' || n, 'user-' || n, 'x', CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN true ELSE false END"
        " FROM generate_series(1, $2) AS n"
    )
    await database.execute(add, tenant_id, MANY)
    before = await fingerprints(database)
    statements.clear()
    suspended = await suspending.suspend_tenant(asking(tenant_id))
    assert suspended.result["changedUsers"] == ACTIVE_USERS + MANY * 3 // 4
    assert len(statements) < 30
    statements.clear()
    await suspending.reactivate_tenant(undoing(tenant_id))
    assert len(statements) < 30
    assert differing(before, await fingerprints(database)) == set()
    async with database.transaction():
        # Without the foreign keys, of which many have no index.
        await database.execute("SET LOCAL session_replication_role = replica")
        await database.execute("DELETE FROM users WHERE tenant = $1 AND username LIKE 'user-%'", tenant_id)
