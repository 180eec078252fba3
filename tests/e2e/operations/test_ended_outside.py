"""Operations whose workflow was ended directly in Temporal, on real processes."""

import json
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
import asyncpg
import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from app.embedded.temporal import NAMESPACE, EmbeddedTemporal
from tests.e2e.conftest import SECRET, Service
from tests.e2e.obstacles import waiting
from tests.support.servers.processes import wait_for
from tests.support.servers.temporal import converter_of
from tests.support.tenants.rows import row_counts
from workflows.tenants.steps import APPLY_BLUEPRINT, COMPLETE, CREATE_TENANT, SET_UP_DATA

pytestmark = pytest.mark.anyio

NEEDS_ATTENTION = 9


@pytest.fixture
async def client(temporal: EmbeddedTemporal) -> Client:
    return await Client.connect(temporal.address, data_converter=converter_of(SECRET))


async def ended_in(
    service: Service, database: asyncpg.Connection, step: str, end: Callable[[str], Awaitable[None]]
) -> dict[str, Any]:
    """Return the status of an operation that was ended in a step that its worker could not finish."""
    tenant_id = uuid4()
    async with waiting(database, step, tenant_id) as gate:
        started = await service.create(tenantId=str(tenant_id))
        await gate.reached()
        service.worker.send_signal(signal.SIGKILL)
        await anyio.to_thread.run_sync(wait_for, lambda: service.worker.exit_status is not None)
        await end(started["workflowId"])
    service.worker.start()
    return await service.status(started["workflowId"])


def terminate(client: Client) -> Callable[[str], Awaitable[None]]:
    async def end(workflow_id: str) -> None:
        await client.get_workflow_handle(workflow_id).terminate("by hand")

    return end


def delete(client: Client) -> Callable[[str], Awaitable[None]]:
    """Delete a running workflow; of a closed one the server deletes the history half a minute later."""

    async def end(workflow_id: str) -> None:
        execution = WorkflowExecution(workflow_id=workflow_id)
        await client.workflow_service.delete_workflow_execution(
            DeleteWorkflowExecutionRequest(namespace=NAMESPACE, workflow_execution=execution)
        )
        with anyio.fail_after(20):
            while await _is_known(client, workflow_id):
                await anyio.lowlevel.checkpoint()

    return end


async def reconcile(service: Service, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Return exit status and output of the command, run as an operator would."""
    command = [sys.executable, "-m", "app.cli", "reconcile", "--json", *arguments]
    done = await anyio.run_process(command, env=service.environment, check=False, stderr=subprocess.PIPE)
    assert done.returncode in {0, NEEDS_ATTENTION}, done.stderr.decode()
    response: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, response


@pytest.mark.parametrize("step", [CREATE_TENANT, SET_UP_DATA])
async def test_a_workflow_terminated_before_its_commit_fails_and_writes_nothing(
    service: Service, database: asyncpg.Connection, client: Client, step: str
) -> None:
    document = await ended_in(service, database, step, terminate(client))
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
    service: Service, database: asyncpg.Connection, client: Client
) -> None:
    document = await ended_in(service, database, COMPLETE, terminate(client))
    assert (document["status"], document["source"]) == ("completed", "database")
    assert document["result"]["tenantId"] == document["tenantId"]
    assert await reconcile(service, document["workflowId"]) == (0, {"findings": []})
    assert (await row_counts(database, document["tenantId"]))["tenants"] == 1


async def test_an_operation_without_history_is_closed_as_failed(
    service: Service, database: asyncpg.Connection, client: Client
) -> None:
    document = await ended_in(service, database, APPLY_BLUEPRINT, delete(client))
    assert (document["status"], document["source"]) == ("failed", "database")
    code, found = await reconcile(service, document["workflowId"])
    assert code == 0
    assert {finding["status"] for finding in found["findings"]} <= {"failed"}
    query = "SELECT status FROM alga_tenants.operations WHERE workflow_id = $1"
    assert await database.fetchval(query, document["workflowId"]) == "failed"
    assert await row_counts(database, document["tenantId"]) == {}


async def _is_known(client: Client, workflow_id: str) -> bool:
    try:
        await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True
