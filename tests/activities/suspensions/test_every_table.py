"""A suspension changes nothing but what it has to, and a reactivation puts back every row as it was."""

import asyncpg
import pytest

from activities.suspensions.activities import SuspensionActivities
from tests.activities.conftest import MigratedDatabase
from tests.activities.suspensions.conftest import add_tenant, asking, undoing
from tests.activities.suspensions.test_exactness import ACTIVE_USERS, CHANGED, UNPAUSED, differing, ours
from tests.support.tenants.rows import fingerprints

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def database_url(migrated_database: MigratedDatabase) -> str:
    """The URL of a database of its own, because rows in every table slow down all who compare its tables."""
    return migrated_database("plain", __name__)


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
