"""A suspension changes nothing but what it has to, and a reactivation puts back every row as it was."""

import asyncpg
import pytest

from activities.suspensions.activities import SuspensionActivities
from app.embedded.processes.blocking import run_blocking
from migrations.upgrade import upgrade
from tests.activities.conftest import sqlalchemy_url
from tests.activities.suspensions.conftest import add_tenant, asking, undoing
from tests.activities.suspensions.test_exactness import ACTIVE_USERS, CHANGED, UNPAUSED, differing, ours
from tests.support.servers.databases import NewDatabase
from tests.support.tenants.rows import fingerprints

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def database_url(new_database: NewDatabase, alga_plain_template: str) -> str:
    """The URL of a database of its own, because rows in every table slow down all who compare its tables."""
    url = new_database(alga_plain_template)
    run_blocking(upgrade(sqlalchemy_url(url)))
    return url


async def test_a_suspension_and_its_end_leave_every_row_byte_for_byte(
    suspending: SuspensionActivities, database: asyncpg.Connection
) -> None:
    tenant_id, _neighbour = [await add_tenant(database, "plain", tables=None) for _ in range(2)]
    before, neighbours = await fingerprints(database), await fingerprints(database, without=[tenant_id])

    suspended = await suspending.suspend_tenant(asking(tenant_id))

    assert suspended.result == {
        "tenantId": str(tenant_id),
        "changedUsers": ACTIVE_USERS,
        "changedEmailProviders": UNPAUSED,
    }
    assert differing(before, await fingerprints(database)) == CHANGED
    assert await fingerprints(database, without=[tenant_id]) == neighbours

    reactivated = await suspending.reactivate_tenant(undoing(tenant_id))

    assert (reactivated.result, reactivated.warnings) == (suspended.result, ())
    assert differing(before, await fingerprints(database)) == set()
    assert await ours(database, tenant_id) == 0
