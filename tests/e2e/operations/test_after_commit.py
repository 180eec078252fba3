"""Work after the commit never removes the tenant: it is done later, or becomes a warning."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import anyio
import asyncpg
import pytest
from temporalio.client import Client

from app.embedded.processes.processes import ChildProcess
from app.embedded.temporal import EmbeddedTemporal
from tests.e2e.conftest import PATIENCE, Service
from tests.e2e.obstacles import waiting
from tests.e2e.replicas import REPOSITORY, kill
from tests.support.tenants.rows import row_counts
from tests.support.waiting import wait_until
from workflows.tenants.steps import COMPLETE, TRACK_CUSTOMER

pytestmark = pytest.mark.anyio


@pytest.fixture
async def without_worker(service: Service) -> AsyncIterator[Service]:
    """The service while its own worker, which has no step after the commit, does not run."""
    await anyio.to_thread.run_sync(service.worker.stop)
    yield service
    await anyio.to_thread.run_sync(service.worker.start)


@asynccontextmanager
async def extended_worker(service: Service, follow_up: str) -> AsyncIterator[ChildProcess]:
    """A worker with a step after the commit."""
    process = ChildProcess(
        "extended-worker",
        [sys.executable, "-m", "tests.e2e.extended_worker"],
        log_file=service.logs / f"extended-worker-{uuid4().hex}.log",
        env={**service.environment, "FOLLOW_UP": follow_up},
        cwd=REPOSITORY,
    )
    process.start()
    try:
        yield process
    finally:
        await anyio.to_thread.run_sync(process.stop)


async def commit_and_kill(service: Service, database: asyncpg.Connection, tenant_id: UUID) -> dict[str, Any]:
    """Let a creation commit, and kill its worker before the next step."""
    async with extended_worker(service, "succeeds") as worker, waiting(database, COMPLETE, tenant_id) as gate:
        started = await service.create(tenantId=str(tenant_id))
        await gate.reached()
        await kill(worker)

    async def is_committed() -> bool:
        query = "SELECT committed_at IS NOT NULL FROM alga_tenants.operations WHERE workflow_id = $1"
        return bool(await database.fetchval(query, started["workflowId"]))

    await wait_until(is_committed, timeout=PATIENCE, every=0.02)
    return started


async def test_a_step_that_fails_after_the_commit_is_a_warning_and_the_tenant_stays(
    without_worker: Service, database: asyncpg.Connection
) -> None:
    service = without_worker
    async with extended_worker(service, "fails"):
        document = await service.finished((await service.create())["workflowId"])
    assert (document["status"], document["error"]) == ("completed", None)
    [warning] = document["warnings"]
    assert (warning["code"], warning["step"]) == ("customer-collision", TRACK_CUSTOMER)
    assert {step["name"]: step["status"] for step in document["steps"]}[TRACK_CUSTOMER] == "failed"
    assert (await row_counts(database, document["tenantId"]))["tenants"] == 1


async def test_another_worker_does_the_rest_if_one_is_killed_after_the_commit(
    without_worker: Service, database: asyncpg.Connection
) -> None:
    service, tenant_id = without_worker, uuid4()
    started = await commit_and_kill(service, database, tenant_id)
    committed = await row_counts(database, tenant_id)
    response = await service.http.delete(started["links"]["self"])
    assert (response.status_code, response.json()["code"]) == (409, "operation-committed")
    async with extended_worker(service, "succeeds"):
        document = await service.finished(started["workflowId"])
    assert (document["status"], document["error"]) == ("completed", None)
    assert {step["name"]: step["status"] for step in document["steps"]}[TRACK_CUSTOMER] == "completed"
    assert await row_counts(database, tenant_id) == committed
    assert committed["tenants"] == 1


async def test_a_workflow_terminated_after_the_commit_completes_with_a_warning(
    without_worker: Service, database: asyncpg.Connection, temporal: EmbeddedTemporal
) -> None:
    service, tenant_id = without_worker, uuid4()
    started = await commit_and_kill(service, database, tenant_id)
    client = await Client.connect(temporal.address)
    await client.get_workflow_handle(started["workflowId"]).terminate("by hand")
    document = await service.status(started["workflowId"])
    assert (document["status"], document["source"], document["error"]) == ("completed", "database", None)
    [warning] = document["warnings"]
    assert warning["code"] == "ended-outside"
    assert TRACK_CUSTOMER in warning["detail"]
    assert (await row_counts(database, tenant_id))["tenants"] == 1
