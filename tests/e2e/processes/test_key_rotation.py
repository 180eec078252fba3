"""A payload key is added while operations run, and processes without it lose nothing."""

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
from tests.app.gateway.server import RunningGateway
from tests.e2e.conftest import PATIENCE, Service, request
from tests.e2e.in_process import gateway_in_process, worker_in_process
from tests.e2e.obstacles import LASTING_ERROR, obstacle
from tests.e2e.replicas import kill
from tests.support.waiting import wait_until
from workflows.operations.messages import OPERATION_MEMO
from workflows.tenants.steps import SET_UP_DATA

pytestmark = pytest.mark.anyio

KEY = base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
async def client(temporal: EmbeddedTemporal) -> Client:
    return await Client.connect(temporal.address)


@pytest.fixture
async def new_gateway(service: Service) -> AsyncIterator[RunningGateway]:
    """A gateway that encrypts with the new key, and can decrypt with the service's old one, too."""
    async with gateway_in_process(service, PAYLOAD_KEYS=f"new:{KEY}") as gateway:
        yield gateway


@asynccontextmanager
async def replaced_worker(service: Service) -> AsyncIterator[None]:
    """Kill the service's worker, and run one with both keys in its place during the block."""
    await kill(service.worker)
    try:
        async with worker_in_process(service, TEMPORAL_TASK_QUEUE=service.task_queue, PAYLOAD_KEYS=f"new:{KEY}"):
            yield
    finally:
        await anyio.to_thread.run_sync(service.worker.start)


async def key_of(client: Client, workflow_id: str) -> bytes:
    """Return the id of the key that encrypted the operation's memo."""
    description = await client.get_workflow_handle(workflow_id).describe()
    return description.raw_info.memo.fields[OPERATION_MEMO].metadata[KEY_ID]


async def test_operations_of_both_keys_wait_for_a_worker_with_their_key_and_complete(
    service: Service, new_gateway: RunningGateway, database: asyncpg.Connection, client: Client
) -> None:
    async with new_gateway.client() as http:

        async def have_completed() -> bool:
            responses = [await http.get(f"/tenants/{each}/status") for each in (older, newer)]
            assert all(response.is_success for response in responses), responses
            statuses = [response.json()["status"] for response in responses]
            assert not {"failed", "cancelled"} & set(statuses)
            return statuses == ["completed"] * 2

        async def has_failed() -> bool:
            history = await client.get_workflow_handle(newer).fetch_history()
            return any(event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED for event in history.events)

        tenant_id = uuid4()
        async with obstacle(database, SET_UP_DATA, tenant_id, LASTING_ERROR):
            older = (await service.create(tenantId=str(tenant_id)))["workflowId"]
            newer = (await http.post("/tenants", json=request())).json()["workflowId"]
            await wait_until(has_failed, timeout=PATIENCE)
            seen = await service.status(newer)
            assert (seen["status"], seen["source"]) == ("queued", "database")
            await service.shown(older, "needs_attention")
        assert (await key_of(client, older)).startswith(b"derived-")
        assert await key_of(client, newer) == b"new"
        for process in (service.gateway, service.worker):
            written = process.log_file.read_text()
            assert "key 'new', which is not known here" in written, process.name
            assert KEY not in written
        async with replaced_worker(service):
            resumed = await http.post(f"/operations/{older}/resume")
            assert resumed.is_success, resumed.text
            # As shown by the new gateway.
            await wait_until(have_completed, timeout=PATIENCE, every=0.5)
    assert await key_of(client, older) == b"new"
