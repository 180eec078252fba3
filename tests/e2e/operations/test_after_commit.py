"""Work after the commit never removes the tenant: it is done later, or becomes a warning."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import anyio
import asyncpg
import pytest
from temporalio.client import Client

from app.embedded.temporal import EmbeddedTemporal
from tests.e2e.conftest import MANAGEMENT_TENANT, PATIENCE, Service
from tests.e2e.replicas import Replica, kill, replica
from tests.support.tenants.rows import row_counts
from tests.support.tenants.stripe import insert_management_tenant
from tests.support.waiting import wait_until
from workflows.tenants.steps import TRACK_CUSTOMER

pytestmark = pytest.mark.anyio

BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INTO clients%'"
CUSTOMERS = "SELECT count(*) FROM clients WHERE tenant = $1 AND client_name = $2"


@pytest.fixture
async def without_worker(service: Service, database: asyncpg.Connection) -> AsyncIterator[Service]:
    """The service while its own worker does not run, so that a test can kill another one."""
    await insert_management_tenant(database, MANAGEMENT_TENANT)
    await anyio.to_thread.run_sync(service.worker.stop)
    yield service
    await anyio.to_thread.run_sync(service.worker.start)


async def commit_and_kill(service: Service, database: asyncpg.Connection, name: str) -> tuple[dict[str, Any], UUID]:
    """Let a creation commit, kill its worker within the step that follows, and return the response and the tenant."""
    tenant_id, worker = uuid4(), Replica(service, "worker", {})
    other = await asyncpg.connect(service.installation.admin_database_url)
    try:
        await worker.start()
        await other.execute("BEGIN")
        # A client that is about to be inserted lets the insert of the same name wait.
        await other.execute("INSERT INTO clients (tenant, client_name) VALUES ($1, $2)", MANAGEMENT_TENANT, name)
        started = await service.create(tenantId=str(tenant_id), tenantName=name, skipCustomerTracking=False)

        async def is_blocked() -> bool:
            return bool(await database.fetchval(BLOCKED))

        await wait_until(is_blocked, timeout=PATIENCE, every=0.02)
        await kill(worker.process)
        await other.execute("ROLLBACK")
    finally:
        await other.close()
        await anyio.to_thread.run_sync(worker.process.stop)
    return started, tenant_id


async def test_another_worker_does_the_rest_if_one_is_killed_after_the_commit(
    without_worker: Service, database: asyncpg.Connection
) -> None:
    service, name = without_worker, f"Killed {uuid4().hex}"
    started, tenant_id = await commit_and_kill(service, database, name)
    committed = await row_counts(database, tenant_id)
    response = await service.http.delete(started["links"]["self"])
    assert (response.status_code, response.json()["code"]) == (409, "operation-committed")
    async with replica(service, "worker"):
        document = await service.finished(started["workflowId"])
    assert (document["status"], document["error"], document["warnings"]) == ("completed", None, [])
    assert {step["name"]: step["status"] for step in document["steps"]}[TRACK_CUSTOMER] == "completed"
    assert await database.fetchval(CUSTOMERS, MANAGEMENT_TENANT, name) == 1
    assert await row_counts(database, tenant_id) == committed
    assert committed["tenants"] == 1


async def test_a_workflow_terminated_after_the_commit_completes_with_a_warning(
    without_worker: Service, database: asyncpg.Connection, temporal: EmbeddedTemporal
) -> None:
    service, name = without_worker, f"Terminated {uuid4().hex}"
    started, tenant_id = await commit_and_kill(service, database, name)
    client = await Client.connect(temporal.address)
    await client.get_workflow_handle(started["workflowId"]).terminate("by hand")
    document = await service.status(started["workflowId"])
    assert (document["status"], document["source"], document["error"]) == ("completed", "database", None)
    [warning] = document["warnings"]
    assert warning["code"] == "ended-outside"
    assert TRACK_CUSTOMER in warning["detail"]
    assert (await row_counts(database, tenant_id))["tenants"] == 1
    assert await database.fetchval(CUSTOMERS, MANAGEMENT_TENANT, name) == 0
