"""Operations whose worker was killed: another one does the rest, unless their workflow was ended in the meantime."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import anyio
import asyncpg
import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from app.embedded.temporal import NAMESPACE, EmbeddedTemporal
from tests.e2e.commands import reconcile
from tests.e2e.conftest import MANAGEMENT_TENANT, PATIENCE, Service
from tests.e2e.obstacles import Gate, waiting
from tests.e2e.replicas import kill
from tests.support.tenants.rows import row_counts
from tests.support.tenants.stripe import insert_management_tenant
from tests.support.waiting import wait_until
from workflows.tenants.steps import (
    APPLY_BLUEPRINT,
    COMPLETE,
    CREATE_TENANT,
    SET_UP_DATA,
    TENANT_CREATION,
    TRACK_CUSTOMER,
)

pytestmark = pytest.mark.anyio

AT_ONCE = {"Prefer": "wait=0"}
# Creations in the middle of this step, whose workflows are terminated, or deleted.
TERMINATED = (CREATE_TENANT, SET_UP_DATA, COMPLETE)
DELETED = APPLY_BLUEPRINT
# Creations that have committed and track their customer; the workflow of one is terminated.
TRACKING = ("tracking", "terminated while tracking")
# The step of a creation that writes the same table as a change of product.
GRANTS = APPLY_BLUEPRINT
BLOCKED = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND starts_with(application_name, 'alga-tenants-worker')
        AND wait_event_type = 'Lock' AND wait_event <> 'advisory'
"""
CUSTOMERS = "SELECT count(*) FROM clients WHERE tenant = $1 AND client_name = $2"


@dataclass
class Killed:
    """Tenants in whose operations the worker was killed, and these operations, by the names of the constants."""

    service: Service
    tenants: dict[str, UUID] = field(default_factory=dict)
    operations: dict[str, str] = field(default_factory=dict)

    async def replace_worker(self) -> None:
        """Start another worker if none runs."""
        if self.service.worker.exit_status is not None:
            await anyio.to_thread.run_sync(self.service.worker.start)

    async def status(self, name: str) -> dict[str, Any]:
        """Return the status of an operation once another worker runs."""
        await self.replace_worker()
        return await self.service.status(self.operations[name])

    async def finished(self, name: str) -> dict[str, Any]:
        """Return the status of an operation that another worker has ended."""
        await self.replace_worker()
        return await self.service.finished(self.operations[name])

    def choose_tenant(self, name: str) -> UUID:
        """Return the id of a tenant that will be created."""
        tenant_id = self.tenants[name] = uuid4()
        self.operations[name] = TENANT_CREATION.workflow_id(tenant_id)
        return tenant_id

    async def create(self, name: str) -> None:
        """Request a tenant; may respond late, because the gateway waits for a row that the worker has written."""
        tenant_id, is_tracked = str(self.tenants[name]), name in TRACKING
        await self.service.create(tenantId=tenant_id, tenantName=tenant_id, skipCustomerTracking=not is_tracked)

    async def change(self, name: str, method: str, path: str, body: dict[str, str]) -> None:
        """Request a change of a tenant."""
        path = f"/tenants/{self.tenants[name]}/{path}"
        started = await self.service.http.request(method, path, json=body, headers=AT_ONCE)
        assert started.status_code == 202, started.text
        self.operations[name] = started.json()["workflowId"]


@pytest.fixture(scope="module")
async def killed(service: Service, temporal: EmbeddedTemporal) -> AsyncIterator[Killed]:
    """Kill the worker in operations of every kind, and end some of them, before another worker runs."""
    work, client = Killed(service), await Client.connect(temporal.address)
    for name, product in (("product change", "algadesk"), ("suspension", "psa")):
        work.tenants[name] = UUID((await service.provision(productCode=product))["tenantId"])
    try:
        async with anyio.create_task_group() as group, interrupted(work) as gates, locked(work):
            for name in (*TERMINATED, DELETED, *TRACKING):
                group.start_soon(work.create, name)
            await work.change("product change", "POST", "product-change", {"productCode": "psa"})
            await work.change("suspension", "PUT", "suspension", {"reason": "unpaid"})
            for gate in gates:
                await gate.reached()
            await committed(service, [work.operations[name] for name in TRACKING])
            await blocked(service, len(TRACKING) + 1)
            await kill(service.worker)
            for name in (*TERMINATED, TRACKING[1]):
                await client.get_workflow_handle(work.operations[name]).terminate("by hand")
            await delete(client, work.operations[DELETED])
        yield work
    finally:
        await work.replace_worker()


@asynccontextmanager
async def interrupted(work: Killed) -> AsyncIterator[list[Gate]]:
    """Make operations wait in the middle of their transaction until the end of the block."""
    async with work.service.database() as connection, AsyncExitStack() as stack:
        steps = {work.tenants["product change"]: GRANTS}
        steps |= {work.choose_tenant(step): step for step in (*TERMINATED, DELETED)}
        yield [
            await stack.enter_async_context(waiting(connection, step, tenant_id)) for tenant_id, step in steps.items()
        ]


@asynccontextmanager
async def locked(work: Killed) -> AsyncIterator[None]:
    """Keep rows from the worker until the end of the block: those of customers, and of users to suspend."""
    async with work.service.database() as connection:
        await insert_management_tenant(connection, MANAGEMENT_TENANT)
        await connection.execute("BEGIN")
        for name in TRACKING:
            # A client that is about to be inserted lets the insert of the same name wait.
            insert = "INSERT INTO clients (tenant, client_name) VALUES ($1, $2)"
            await connection.execute(insert, MANAGEMENT_TENANT, str(work.choose_tenant(name)))
        await connection.execute("SELECT FROM users WHERE tenant = $1 FOR UPDATE", work.tenants["suspension"])
        yield
        await connection.execute("ROLLBACK")


async def committed(service: Service, workflow_ids: list[str]) -> None:
    """Return once the tenants of these operations are written."""
    query = "SELECT count(*) FROM alga_tenants.operations WHERE workflow_id = ANY ($1) AND committed_at IS NOT NULL"
    async with service.database() as connection:

        async def are_committed() -> bool:
            return bool(await connection.fetchval(query, workflow_ids) == len(workflow_ids))

        await wait_until(are_committed, timeout=PATIENCE, every=0.02)


async def blocked(service: Service, number: int) -> None:
    """Return once that many transactions of the worker wait for rows."""
    async with service.database() as connection:

        async def are_blocked() -> bool:
            return bool(await connection.fetchval(BLOCKED) == number)

        await wait_until(are_blocked, timeout=PATIENCE, every=0.02)


async def delete(client: Client, workflow_id: str) -> None:
    """Delete a running workflow; of a closed one the server deletes the history half a minute later."""

    async def is_unknown() -> bool:
        try:
            await client.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return True
            raise
        return False

    execution = WorkflowExecution(workflow_id=workflow_id)
    request = DeleteWorkflowExecutionRequest(namespace=NAMESPACE, workflow_execution=execution)
    await client.workflow_service.delete_workflow_execution(request)
    await wait_until(is_unknown, timeout=PATIENCE, every=0.02)


async def test_the_status_works_without_a_worker_and_work_continues_with_one(killed: Killed) -> None:
    service = killed.service
    finished = TENANT_CREATION.workflow_id(killed.tenants["suspension"])
    assert service.worker.exit_status is not None
    queued = await service.create()
    assert (await service.status(queued["workflowId"]))["status"] == "queued"
    assert (await service.status(finished))["status"] == "completed"
    unwanted = await service.create()
    response = await service.http.delete(f"/tenants/{unwanted['workflowId']}")
    assert response.status_code == 202
    assert (await service.status(unwanted["workflowId"]))["status"] == "cancelling"
    listed = (await service.http.get("/operations", params={"status": "queued"})).json()["operations"]
    assert queued["workflowId"] in {operation["workflowId"] for operation in listed}
    await killed.replace_worker()
    assert (await service.finished(queued["workflowId"]))["status"] == "completed"
    assert (await service.finished(unwanted["workflowId"]))["status"] == "cancelled"


@pytest.mark.parametrize("step", [CREATE_TENANT, SET_UP_DATA])
async def test_a_workflow_terminated_before_its_commit_fails_and_writes_nothing(
    killed: Killed, database: asyncpg.Connection, step: str
) -> None:
    document, service = await killed.status(step), killed.service
    assert (document["status"], document["error"]["code"]) == ("failed", "ended-outside")
    assert "nothing was written" in document["error"]["detail"]
    workflow_id = document["workflowId"]
    assert await row_counts(database, document["tenantId"]) == {}
    row = await database.fetchrow("SELECT * FROM alga_tenants.operations WHERE workflow_id = $1", workflow_id)
    assert (row["status"], row["committed_at"]) == ("failed", None)
    assert (await service.http.delete(f"/operations/{workflow_id}")).status_code == 409
    resumed = await service.http.post(f"/operations/{workflow_id}/resume")
    assert (resumed.status_code, resumed.json()["code"]) == (409, "operation-finished")
    assert await reconcile(service, workflow_id) == (0, {"findings": []})


async def test_a_tenant_committed_after_the_termination_is_completed(
    killed: Killed, database: asyncpg.Connection
) -> None:
    document = await killed.status(COMPLETE)
    assert (document["status"], document["source"]) == ("completed", "database")
    assert document["result"]["tenantId"] == document["tenantId"]
    assert await reconcile(killed.service, document["workflowId"]) == (0, {"findings": []})
    assert (await row_counts(database, document["tenantId"]))["tenants"] == 1


async def test_an_operation_without_history_is_closed_as_failed(killed: Killed, database: asyncpg.Connection) -> None:
    document = await killed.status(DELETED)
    assert (document["status"], document["source"]) == ("failed", "database")
    code, found = await reconcile(killed.service, document["workflowId"])
    assert code == 0
    assert {finding["status"] for finding in found["findings"]} <= {"failed"}
    query = "SELECT status FROM alga_tenants.operations WHERE workflow_id = $1"
    assert await database.fetchval(query, document["workflowId"]) == "failed"
    assert await row_counts(database, document["tenantId"]) == {}


async def test_a_change_of_product_is_continued(killed: Killed, database: asyncpg.Connection) -> None:
    assert (await killed.finished("product change"))["status"] == "completed"
    roles = "SELECT count(*) FROM roles WHERE tenant = $1 AND role_name = 'Dispatcher'"
    assert await database.fetchval(roles, killed.tenants["product change"]) == 1


async def test_a_suspension_is_continued(killed: Killed, database: asyncpg.Connection) -> None:
    ended = await killed.finished("suspension")
    assert (ended["status"], ended["result"]["changedUsers"]) == ("completed", 1)
    records = "SELECT count(*) FROM alga_tenants.suspended_rows WHERE tenant_id = $1"
    assert await database.fetchval(records, killed.tenants["suspension"]) == 2


async def test_a_workflow_terminated_after_the_commit_completes_with_a_warning(
    killed: Killed, database: asyncpg.Connection
) -> None:
    document, tenant_id = await killed.status(TRACKING[1]), killed.tenants[TRACKING[1]]
    assert (document["status"], document["source"], document["error"]) == ("completed", "database", None)
    [warning] = document["warnings"]
    assert warning["code"] == "ended-outside"
    assert TRACK_CUSTOMER in warning["detail"]
    assert (await row_counts(database, tenant_id))["tenants"] == 1
    assert await database.fetchval(CUSTOMERS, MANAGEMENT_TENANT, str(tenant_id)) == 0


async def test_another_worker_does_the_rest_of_a_committed_creation(
    killed: Killed, database: asyncpg.Connection
) -> None:
    """Temporal notices by the missing heartbeats, half a minute later."""
    tenant_id = killed.tenants[TRACKING[0]]
    committed = await row_counts(database, tenant_id)
    response = await killed.service.http.delete(f"/operations/{killed.operations[TRACKING[0]]}")
    assert (response.status_code, response.json()["code"]) == (409, "operation-committed")
    document = await killed.finished(TRACKING[0])
    assert (document["status"], document["error"], document["warnings"]) == ("completed", None, [])
    assert {step["name"]: step["status"] for step in document["steps"]}[TRACK_CUSTOMER] == "completed"
    assert await database.fetchval(CUSTOMERS, MANAGEMENT_TENANT, str(tenant_id)) == 1
    assert await row_counts(database, tenant_id) == committed
    assert committed["tenants"] == 1
