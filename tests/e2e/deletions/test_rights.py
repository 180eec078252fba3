"""A deletion whose worker lacks a right: it waits for an administrator, and says what to do."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from tests.activities.purge.rows import RowWriter
from tests.e2e.conftest import Service
from tests.e2e.deletions.full_tenants import RECORDS
from tests.e2e.in_process import gateway_in_process, worker_in_process
from tests.support.alga import catalog
from tests.support.tenants.rows import row_counts

pytestmark = pytest.mark.anyio

TABLE, TRIGGER = "stock_movements", "trg_stock_movements_immutable"
# The deputy may do what the owner of all other tables may, and is no superuser.
ROLES = f"""
    CREATE ROLE deputy LOGIN PASSWORD 'deputy'; GRANT {{owner}} TO deputy;
    CREATE ROLE keeper; ALTER TABLE {TABLE} OWNER TO keeper; GRANT ALL ON {TABLE} TO deputy;
"""
NO_ROLES = f"ALTER TABLE {TABLE} OWNER TO {{owner}}; DROP OWNED BY keeper, deputy; DROP ROLE keeper, deputy"
MODE = "SELECT tgenabled FROM pg_trigger WHERE tgname = $1"


@pytest.fixture
async def deputy(service: Service, database: asyncpg.Connection) -> AsyncIterator[str]:
    """Return the database URL of a role that owns no table whose trigger forbids deleting."""
    owner = await database.fetchval("SELECT quote_ident(current_user)")
    await database.execute(ROLES.format(owner=owner))
    try:
        url = urlsplit(service.installation.admin_database_url)
        yield url._replace(netloc=f"deputy:deputy@{url.hostname}:{url.port}").geturl()
    finally:
        await database.execute(NO_ROLES.format(owner=owner))


async def test_a_trigger_that_the_role_may_not_disable_waits_for_the_right(
    service: Service, database: asyncpg.Connection, deputy: str
) -> None:
    tenant_id = (await service.provision())["tenantId"]
    async with database.transaction():
        await database.execute("SET LOCAL session_replication_role = replica")
        await database.execute(";".join(RowWriter(catalog(service.shape)).rows_of(UUID(tenant_id), {TABLE})))
    before = await row_counts(database, tenant_id)
    async with (
        worker_in_process(service, ADMIN_DATABASE_URL=deputy) as queue,
        gateway_in_process(service, TEMPORAL_TASK_QUEUE=queue) as gateway,
        gateway.client() as http,
    ):
        body = {"reason": "contract ended", "export": False, "confirm": True, "gracePeriodDays": 0}
        started = await http.post(f"/tenants/{tenant_id}/deletion", json=body)
        assert started.status_code == 202, started.text
        workflow_id = started.json()["workflowId"]
        parked = await service.shown(workflow_id, "needs_attention", "completed", "failed")
        assert (parked["status"], parked["step"], parked["error"]["code"]) == (
            "needs_attention",
            "purge",
            "missing-right",
        ), parked
        problem, _, remedy = parked["error"]["detail"].partition("; an administrator can run: ")
        assert problem == (
            f"trigger {TRIGGER} of table public.{TABLE} forbids the change, and role deputy may not disable it, "
            "because keeper owns the table"
        )
        assert remedy == "GRANT keeper TO deputy WITH INHERIT TRUE"
        left = await row_counts(database, tenant_id)
        assert left.pop(RECORDS) == 1
        assert left == before
        await database.execute(remedy)
        resumed = await http.post(f"/operations/{workflow_id}/resume")
        assert resumed.status_code == 202, resumed.text
        ended = await service.finished(workflow_id)
        assert (ended["status"], ended["warnings"]) == ("completed", []), ended
    left = await row_counts(database, tenant_id)
    left.pop(RECORDS, None)
    assert left == {}
    assert await database.fetchval(MODE, TRIGGER) == b"O"
