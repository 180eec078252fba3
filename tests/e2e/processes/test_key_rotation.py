"""Payload keys change while operations run, and a missing key loses nothing."""

import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import anyio
import asyncpg
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from app.embedded.temporal import EmbeddedTemporal
from app.temporal.encryption import KEY_ID
from tests.e2e.conftest import PATIENCE, TERMINAL, Service, request
from tests.e2e.obstacles import waiting
from tests.e2e.replicas import Replica, kill, replica
from tests.support.waiting import wait_until
from workflows.operations.messages import OPERATION_MEMO
from workflows.tenants.steps import SET_UP_DATA

pytestmark = pytest.mark.anyio

OLD, NEW = (f"{key_id}:{base64.b64encode(os.urandom(32)).decode()}" for key_id in ("old", "new"))
TASK_FAILED = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED


@pytest.fixture
async def client(temporal: EmbeddedTemporal) -> Client:
    return await Client.connect(temporal.address)


@pytest.fixture(scope="module")
async def without_worker(service: Service) -> AsyncIterator[Service]:
    """The service while its own worker, which has neither key, does not run."""
    await anyio.to_thread.run_sync(service.worker.stop)
    yield service
    await anyio.to_thread.run_sync(service.worker.start)


@pytest.fixture(scope="module")
async def old_gateway(without_worker: Service) -> AsyncIterator[Replica]:
    async with replica(without_worker, "gateway", PAYLOAD_KEYS=OLD) as gateway:
        yield gateway


@asynccontextmanager
async def processes(service: Service, keys: str) -> AsyncIterator[tuple[Replica, Replica]]:
    """A gateway and a worker with these keys; they encrypt with the first one."""
    async with replica(service, "gateway", PAYLOAD_KEYS=keys) as gateway, worker(service, keys) as its_worker:
        yield gateway, its_worker


@asynccontextmanager
async def worker(service: Service, keys: str) -> AsyncIterator[Replica]:
    async with replica(service, "worker", PAYLOAD_KEYS=keys, TEMPORAL_WORKFLOW_TASK_TIMEOUT="2") as started:
        yield started


async def key_of(client: Client, workflow_id: str) -> bytes:
    """Return the id of the key that encrypted the operation's memo."""
    description = await client.get_workflow_handle(workflow_id).describe()
    return description.raw_info.memo.fields[OPERATION_MEMO].metadata[KEY_ID]


async def ended_as(service: Service, gateway: Replica, workflow_id: str) -> str:
    """Return the operation's last status, as shown by this gateway."""
    async with service.client(gateway.url) as http:
        status = ""
        with anyio.fail_after(PATIENCE):
            while status not in TERMINAL:
                response = await http.get(f"/tenants/{workflow_id}/status")
                assert response.status_code == 200, response.text
                status = str(response.json()["status"])
        return status


async def test_a_running_operation_continues_with_a_new_key(
    without_worker: Service, old_gateway: Replica, database: asyncpg.Connection, client: Client
) -> None:
    service, tenant_id = without_worker, uuid4()
    async with worker(service, OLD) as old_worker, service.client(old_gateway.url) as http:
        async with waiting(database, SET_UP_DATA, tenant_id) as gate:
            started = await http.post("/tenants", json=request(tenantId=str(tenant_id)))
            workflow_id = started.json()["workflowId"]
            await gate.reached()
            await kill(old_worker.process)
        assert await key_of(client, workflow_id) == b"old"
        async with processes(service, f"{NEW},{OLD}") as (new_gateway, _):
            assert await ended_as(service, new_gateway, workflow_id) == "completed"
    assert await key_of(client, workflow_id) == b"new"


async def test_an_operation_waits_for_a_worker_with_its_key(
    without_worker: Service, old_gateway: Replica, client: Client
) -> None:
    service = without_worker
    async with service.client(old_gateway.url) as http:
        workflow_id = (await http.post("/tenants", json=request())).json()["workflowId"]
    async with processes(service, NEW) as (blind_gateway, blind_worker):

        async def has_failed() -> bool:
            history = await client.get_workflow_handle(workflow_id).fetch_history()
            return any(event.event_type == TASK_FAILED for event in history.events)

        await wait_until(has_failed, timeout=PATIENCE)
        async with service.client(blind_gateway.url) as http:
            seen = (await http.get(f"/tenants/{workflow_id}/status")).json()
        assert (seen["status"], seen["source"]) == ("queued", "database")
        for process in (blind_gateway.process, blind_worker.process):
            written = process.log_file.read_text()
            assert "key 'old', which is not known here" in written, process.name
            assert OLD.partition(":")[2] not in written
            assert NEW.partition(":")[2] not in written
    async with worker(service, f"{NEW},{OLD}"):
        assert await ended_as(service, old_gateway, workflow_id) == "completed"
