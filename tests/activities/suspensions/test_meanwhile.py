"""What people, Alga and a second run do before, during and after a suspension."""

import asyncio
from collections.abc import Awaitable
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.operations.rows import request_cancel
from activities.suspensions.activities import SuspensionActivities
from activities.suspensions.rows import reactivate, suspend
from tests.activities.conftest import ON_ONE_SHAPE
from tests.activities.suspensions.conftest import add_user, asking, set_deletion, undoing
from tests.activities.suspensions.test_exactness import ACTIVE_USERS, UNPAUSED, differing, ours
from tests.activities.tenants.attempts import ASKED, everything
from tests.support.tenants.rows import fingerprints
from tests.support.waiting import wait_until
from workflows.operations.failures import CANCEL_REQUESTED, OPERATION_IN_PROGRESS
from workflows.tenants.suspension import SuspensionInput

pytestmark = [pytest.mark.anyio, ON_ONE_SHAPE]

PATIENCE = 20.0
BLOCKED = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
RESUME_MAIL = "UPDATE email_providers SET inbound_paused_at = NULL, inbound_pause_reason = NULL"
LIFT = "UPDATE tenants SET suspended_at = NULL, suspended_reason = NULL WHERE tenant = $1"
NO_ROWS = {"changedUsers": 0, "changedEmailProviders": 0}


async def error_of(call: Awaitable[Any]) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        await call
    return caught.value


async def users(database: asyncpg.Connection, tenant_id: UUID) -> dict[str, bool | None]:
    """Return whether the users are inactive."""
    return dict(await database.fetch("SELECT email, is_inactive FROM users WHERE tenant = $1", tenant_id))


async def is_blocked(database: asyncpg.Connection) -> bool:
    """Return whether a session of the database waits for a lock."""
    query = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    return bool(await database.fetchval(query))


async def test_what_people_change_during_a_suspension_stays(
    suspending: SuspensionActivities, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    await suspending.suspend_tenant(asking(tenant_id))
    for change in (
        "UPDATE users SET is_inactive = false WHERE tenant = $1 AND email = 'unset'",
        "DELETE FROM users WHERE tenant = $1 AND email = 'customer'",
        "UPDATE email_providers SET inbound_pause_reason = 'manual' WHERE tenant = $1 AND mailbox = 'support'",
        f"{RESUME_MAIL} WHERE tenant = $1 AND mailbox = 'unset'",
        "UPDATE tenants SET client_name = 'Renamed' WHERE tenant = $1",
    ):
        assert await database.execute(change, tenant_id) in {"UPDATE 1", "DELETE 1"}
    await add_user(database, tenant_id, email="new", is_inactive=False)
    await add_user(database, tenant_id, email="new-and-inactive", is_inactive=True)

    committed = await suspending.reactivate_tenant(undoing(tenant_id))

    assert committed.result["changedUsers"] == ACTIVE_USERS - 2
    assert committed.result["changedEmailProviders"] == UNPAUSED - 2
    found = await users(database, tenant_id)
    expected = {
        "ada": False,
        "unset": False,  # Not null, as it was before.
        "left": True,
        "customer-left": True,
        "new": False,
        "new-and-inactive": True,
    }
    assert {email: found[email] for email in expected} == expected
    assert "customer" not in found
    paused = "SELECT mailbox FROM email_providers WHERE tenant = $1 AND inbound_pause_reason = 'manual'"
    assert {row["mailbox"] for row in await database.fetch(paused, tenant_id)} == {"support", "paused"}
    renamed = "SELECT client_name, suspended_at, suspended_reason FROM tenants WHERE tenant = $1"
    assert tuple(await database.fetchrow(renamed, tenant_id)) == ("Renamed", None, None)
    assert await ours(database, tenant_id) == 0


async def test_a_second_run_returns_the_first_result_and_changes_nothing(
    suspending: SuspensionActivities, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    for activity, given in (
        (suspending.suspend_tenant, asking(tenant_id)),
        (suspending.reactivate_tenant, undoing(tenant_id)),
    ):
        first = await activity(given)
        before = await everything(database)
        second = await activity(given)
        assert (second.result, second.committed_at) == (first.result, first.committed_at)
        assert await everything(database) == before


async def test_a_suspended_or_active_tenant_is_left_as_it_is(
    suspending: SuspensionActivities, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    before = await fingerprints(database)
    assert (await suspending.reactivate_tenant(undoing(tenant_id))).result == {"tenantId": str(tenant_id), **NO_ROWS}
    assert differing(before, await fingerprints(database)) == set()
    await suspending.suspend_tenant(asking(tenant_id))
    await database.execute("UPDATE users SET is_inactive = false WHERE tenant = $1 AND email = 'ada'", tenant_id)
    suspended = await fingerprints(database)
    again = await suspending.suspend_tenant(asking(tenant_id, reason="another reason"))
    assert again.result == {"tenantId": str(tenant_id), **NO_ROWS}
    assert differing(suspended, await fingerprints(database)) == set()
    reason = "SELECT reason FROM alga_tenants.suspensions WHERE tenant_id = $1"
    assert await database.fetchval(reason, tenant_id) == "unpaid"


@pytest.mark.parametrize("killed", ["suspend", "reactivate"])
async def test_a_killed_attempt_changes_nothing_and_the_next_one_does_it(
    suspending: SuspensionActivities, database: asyncpg.Connection, database_url: str, tenant_id: UUID, killed: str
) -> None:
    before = await fingerprints(database)
    if killed == "reactivate":
        await suspending.suspend_tenant(asking(tenant_id))
    given = asking(tenant_id) if killed == "suspend" else undoing(tenant_id)
    activity = suspending.suspend_tenant if killed == "suspend" else suspending.reactivate_tenant
    at_start = await everything(database)
    other = await asyncpg.connect(database_url)
    async with other.transaction():
        # Users are done by then.
        await other.execute("SELECT FROM email_providers WHERE tenant = $1 FOR UPDATE", tenant_id)
        attempt = asyncio.create_task(error_of(activity(given)))
        await wait_until(lambda: is_blocked(database), timeout=PATIENCE, every=0.01)
        await database.execute(f"SELECT pg_terminate_backend(pid) {BLOCKED}")
        error = await attempt
    await other.close()
    assert (error.type, error.non_retryable) == ("database-unavailable", False)
    assert await everything(database) == at_start
    assert (await activity(given)).result["changedUsers"] == ACTIVE_USERS
    await suspending.reactivate_tenant(undoing(tenant_id))
    assert differing(before, await fingerprints(database)) == set()


async def test_a_user_who_is_being_added_is_not_overlooked(
    suspending: SuspensionActivities, database: asyncpg.Connection, database_url: str, tenant_id: UUID
) -> None:
    other = await asyncpg.connect(database_url)
    async with other.transaction():
        await add_user(other, tenant_id, email="late", is_inactive=False)
        attempt = asyncio.create_task(suspending.suspend_tenant(asking(tenant_id)))
        await wait_until(lambda: is_blocked(database), timeout=PATIENCE, every=0.01)
    await other.close()
    assert (await attempt).result["changedUsers"] == ACTIVE_USERS + 1
    assert (await users(database, tenant_id))["late"] is True


async def test_a_cancel_before_the_commit_changes_nothing(
    suspending: SuspensionActivities,
    engine: AsyncEngine,
    database: asyncpg.Connection,
    database_url: str,
    tenant_id: UUID,
) -> None:
    async def cancel(given: SuspensionInput) -> None:
        async with engine.begin() as connection:
            await request_cancel(connection, given.operation.workflow_id, given.operation.run_id, ASKED)

    before = await everything(database)
    early = asking(tenant_id)
    await cancel(early)
    assert (await error_of(suspending.suspend_tenant(early))).type == CANCEL_REQUESTED
    late = asking(tenant_id)
    other = await asyncpg.connect(database_url)
    async with other.transaction():
        await other.execute("SELECT FROM email_providers WHERE tenant = $1 FOR UPDATE", tenant_id)
        attempt = asyncio.create_task(error_of(suspending.suspend_tenant(late)))
        await wait_until(lambda: is_blocked(database), timeout=PATIENCE, every=0.01)
        await cancel(late)
    await other.close()
    assert (await attempt).type == CANCEL_REQUESTED
    assert await everything(database) == before


async def test_a_suspension_that_was_lifted_elsewhere_can_be_repeated_and_undone(
    suspending: SuspensionActivities, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    """By hand, and only in part: some users are still inactive."""
    before = await fingerprints(database)
    await suspending.suspend_tenant(asking(tenant_id))
    for change in (
        LIFT,
        "UPDATE users SET is_inactive = false WHERE tenant = $1 AND email IN ('ada', 'left')",
    ):
        await database.execute(change, tenant_id)
    again = await suspending.suspend_tenant(asking(tenant_id, reason="still unpaid"))
    assert again.result == {"tenantId": str(tenant_id), "changedUsers": 2, "changedEmailProviders": 0}
    reason = "SELECT reason FROM alga_tenants.suspensions WHERE tenant_id = $1"
    assert await database.fetchval(reason, tenant_id) == "still unpaid"
    await suspending.reactivate_tenant(undoing(tenant_id))
    # Active, as it was when the tenant was suspended the second time.
    assert (await users(database, tenant_id))["left"] is False
    await database.execute("UPDATE users SET is_inactive = true WHERE tenant = $1 AND email = 'left'", tenant_id)
    assert differing(before, await fingerprints(database)) == set()


async def test_what_a_lifted_suspension_has_left_is_put_back(
    suspending: SuspensionActivities, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    before = await fingerprints(database)
    await suspending.suspend_tenant(asking(tenant_id))
    await database.execute(LIFT, tenant_id)
    assert (await suspending.reactivate_tenant(undoing(tenant_id))).result["changedUsers"] == ACTIVE_USERS
    assert differing(before, await fingerprints(database)) == set()


async def test_a_tenant_that_alga_suspended_is_taken_over_and_given_back(
    suspending: SuspensionActivities, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    for change in (
        "UPDATE tenants SET suspended_at = now(), suspended_reason = 'tenant_cancelled' WHERE tenant = $1",
        "UPDATE users SET is_inactive = true WHERE tenant = $1 AND email <> 'customer'",
    ):
        await database.execute(change, tenant_id)
    before = await everything(database)
    refused = await error_of(suspending.reactivate_tenant(undoing(tenant_id)))
    assert (refused.type, refused.non_retryable) == ("suspended-by-alga", True)
    assert await everything(database) == before
    tables = await fingerprints(database)
    taken = await suspending.suspend_tenant(asking(tenant_id))
    assert taken.result == {"tenantId": str(tenant_id), "changedUsers": 1, "changedEmailProviders": UNPAUSED}
    given_back = await suspending.reactivate_tenant(undoing(tenant_id))
    assert given_back.result == taken.result
    assert [warning.code for warning in given_back.warnings] == ["still-suspended"]
    assert differing(tables, await fingerprints(database)) == set()


async def test_a_tenant_that_alga_is_deleting_is_left_alone(
    suspending: SuspensionActivities, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    await set_deletion(database, tenant_id, "awaiting_confirmation")
    before = await everything(database)
    for call in (suspending.suspend_tenant(asking(tenant_id)), suspending.reactivate_tenant(undoing(tenant_id))):
        error = await error_of(call)
        assert (error.type, error.non_retryable) == (OPERATION_IN_PROGRESS, True)
        assert "by workflow by-alga; roll that back in Alga" in error.message
    assert await everything(database) == before


async def test_an_undone_deletion_keeps_an_earlier_suspension(
    suspending: SuspensionActivities, engine: AsyncEngine, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    await suspending.suspend_tenant(asking(tenant_id))
    before = await fingerprints(database)
    deletion = asking(tenant_id).operation
    async with engine.begin() as connection:
        assert (await suspend(connection, deletion, "a deletion")).rows == {}
        assert await reactivate(connection, tenant_id, suspended_by=deletion) is None
    assert differing(before, await fingerprints(database)) == set()
