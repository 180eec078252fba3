"""A request becomes one operation, whichever gateway gets it, and whatever happens to gateways and Temporal."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import httpx
import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from app.embedded.temporal import NAMESPACE
from tests.app.gateway.outages import frozen
from tests.e2e.conftest import PATIENCE, Service, request
from tests.e2e.obstacles import RECORD, blocked, failing, waiting
from tests.e2e.replicas import Replica, kill, replica
from tests.support.servers.restartable import RestartableTemporal
from tests.support.waiting import wait_until
from workflows.tenants.steps import CREATE_TENANT, SET_UP_DATA

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class OtherGateway:
    """A second gateway of the installation, and a client of it."""

    replica: Replica
    http: httpx.AsyncClient


@pytest.fixture(scope="module")
async def other(running: Service) -> AsyncIterator[OtherGateway]:
    async with replica(running, "gateway") as second, running.client(second.url) as http:
        yield OtherGateway(second, http)


@pytest.fixture(scope="module")
async def client(temporal: RestartableTemporal) -> Client:
    return await Client.connect(temporal.address)


@dataclass(frozen=True)
class Attempt:
    """A request with a key; its tenant can be found by name."""

    body: dict[str, Any] = field(default_factory=lambda: request(tenantName=f"Once {uuid4()}"))
    headers: dict[str, str] = field(default_factory=lambda: {"Idempotency-Key": str(uuid4())})

    @property
    def name(self) -> str:
        return str(self.body["tenantName"])

    async def send(self, gateway: httpx.AsyncClient, **changes: Any) -> httpx.Response:
        return await gateway.post("/tenants", json={**self.body, **changes}, headers=self.headers)


@pytest.fixture
def attempt() -> Attempt:
    return Attempt()


async def test_one_key_at_two_gateways_at_once_is_one_operation(
    service: Service, other: OtherGateway, database: asyncpg.Connection, attempt: Attempt
) -> None:
    del attempt.body["adminUser"]["password"]
    responses: list[dict[str, Any]] = []

    async def send(gateway: httpx.AsyncClient) -> None:
        response = await attempt.send(gateway)
        assert response.status_code == 202, response.text
        responses.append(response.json())

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(send, service.http)
            group.start_soon(send, other.http)
    assert len({(response["workflowId"], response["tenantId"]) for response in responses}) == 1
    assert ["temporaryPassword" in response for response in responses].count(True) == 1
    assert (await service.finished(responses[0]["workflowId"]))["status"] == "completed"
    await assert_only(database, attempt, responses[0])


async def test_a_reused_key_is_a_422_at_the_other_gateway(
    service: Service, other: OtherGateway, attempt: Attempt
) -> None:
    first = await attempt.send(service.http)
    assert first.status_code == 202
    await assert_key_reused(other.http, attempt)
    again = await attempt.send(other.http)
    assert (again.status_code, again.json()["workflowId"]) == (202, first.json()["workflowId"])


async def test_the_same_key_finds_an_operation_that_temporal_has_deleted(
    service: Service, other: OtherGateway, database: asyncpg.Connection, client: Client, attempt: Attempt
) -> None:
    created = (await attempt.send(service.http)).json()
    completed = await service.finished(created["workflowId"])
    await forget(client, created["workflowId"])
    # The first has seen its end, the other one knows only the row.
    for gateway, source in ((service.http, "temporal"), (other.http, "database")):
        again = await attempt.send(gateway)
        document = again.json()
        assert (again.status_code, document["source"], document["status"]) == (202, source, "completed")
        assert document["workflowId"] == created["workflowId"]
        assert document["result"] == completed["result"]
        await assert_key_reused(gateway, attempt)
    assert not await is_known(client, created["workflowId"])
    await assert_only(database, attempt, created)


async def test_a_tenant_id_stays_taken_after_temporal_has_deleted_its_operation(
    service: Service, other: OtherGateway, client: Client
) -> None:
    document = await service.provision(tenantId=str(uuid4()))
    await forget(client, document["workflowId"])
    for headers in ({}, Attempt().headers):
        body = request(tenantId=document["tenantId"])
        response = await other.http.post("/tenants", json=body, headers=headers)
        assert (response.status_code, response.json()["code"]) == (409, "tenant-exists")
        assert response.json()["errors"][0]["field"] == "tenantId"
    assert not await is_known(client, document["workflowId"])


async def test_a_failed_creation_frees_its_tenant_id_after_temporal_has_deleted_it(
    service: Service, other: OtherGateway, database: asyncpg.Connection, client: Client
) -> None:
    tenant_id = uuid4()
    async with failing(database, SET_UP_DATA, tenant_id):
        document = await service.finished((await service.create(tenantId=str(tenant_id)))["workflowId"])
    assert document["status"] == "failed"
    await forget(client, document["workflowId"])
    response = await other.http.post("/tenants", json=request(tenantId=str(tenant_id)))
    assert response.status_code == 202, response.text
    assert (await service.finished(response.json()["workflowId"]))["status"] == "completed"


@dataclass(frozen=True)
class Left:
    """What a killed gateway has left to the other one.

    It responded to neither attempt: it had started the workflow of one, and called Temporal for the other in vain. Of
    the operations it has accepted two, and cancelled the second.
    """

    started: Attempt
    unstarted: Attempt
    accepted: list[str]


@pytest.fixture(scope="module")
async def left(service: Service, other: OtherGateway, client: Client, temporal: RestartableTemporal) -> Left:
    """Kill the second gateway at work; tests that need it alive come first."""
    left = Left(Attempt(), Attempt(), [])

    async def is_started() -> bool:
        workflow_id = await claimed(database, left.started)
        return workflow_id is not None and await is_known(client, workflow_id)

    async def is_claimed() -> bool:
        return await claimed(database, left.unstarted) is not None

    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(service.database())
        for _ in range(2):
            gate = await stack.enter_async_context(waiting(database, CREATE_TENANT, tenant_id := uuid4()))
            response = await other.http.post("/tenants", json=request(tenantId=str(tenant_id)))
            assert response.status_code == 202, response.text
            left.accepted.append(response.json()["workflowId"])
            await gate.reached()
        assert (await other.http.delete(f"/tenants/{left.accepted[1]}")).status_code == 202
        # Delays the row that the gateway writes before it responds.
        async with waiting(database, RECORD, left.started.name), unanswered(left.started, other):
            await wait_until(is_started, timeout=PATIENCE, every=0.02)
            await blocked(database, database.get_server_pid(), application="alga-tenants-gateway")
            with frozen(temporal.pid):
                async with unanswered(left.unstarted, other):
                    await wait_until(is_claimed, timeout=PATIENCE, every=0.02)
                    await kill(other.replica.process)
    # Requests to Temporal have arrived by now, or never will.
    return left


async def test_the_other_gateway_finds_an_operation_whose_gateway_was_killed_after_the_start(
    service: Service, left: Left, database: asyncpg.Connection
) -> None:
    await assert_found(service, database, left.started)


async def test_the_other_gateway_makes_one_operation_if_one_was_killed_at_the_start(
    service: Service, left: Left, database: asyncpg.Connection
) -> None:
    await assert_found(service, database, left.unstarted)


async def test_a_killed_gateway_loses_no_operation(service: Service, left: Left) -> None:
    ends = [(await service.finished(workflow_id))["status"] for workflow_id in left.accepted]
    assert ends == ["completed", "cancelled"]


@asynccontextmanager
async def unanswered(attempt: Attempt, gateway: OtherGateway) -> AsyncIterator[None]:
    """Send a request that gets no response, because the block kills its gateway."""
    responses: list[httpx.Response] = []

    async def send() -> None:
        with suppress(httpx.TransportError):
            responses.append(await attempt.send(gateway.http))

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        yield
    assert not responses


async def assert_found(service: Service, database: asyncpg.Connection, attempt: Attempt) -> None:
    """Assert that another gateway responds to the same request with the one completed operation."""
    response = await attempt.send(service.http)
    assert (response.status_code, response.json()["workflowId"]) == (202, await claimed(database, attempt))
    assert (await service.finished(response.json()["workflowId"]))["status"] == "completed"
    await assert_only(database, attempt, response.json())


async def claimed(database: asyncpg.Connection, attempt: Attempt) -> str | None:
    """Return the workflow id that the request's key is bound to."""
    digest = hashlib.sha256(attempt.headers["Idempotency-Key"].encode()).hexdigest()
    query = "SELECT workflow_id FROM alga_tenants.idempotency_keys WHERE key_digest = $1"
    workflow_id: str | None = await database.fetchval(query, digest)
    return workflow_id


async def is_known(client: Client, workflow_id: str) -> bool:
    """Return whether Temporal knows the workflow."""
    try:
        await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True


async def forget(client: Client, workflow_id: str) -> None:
    """Delete an ended workflow in Temporal, as the end of its retention time does."""

    async def is_forgotten() -> bool:
        return not await is_known(client, workflow_id)

    execution = WorkflowExecution(workflow_id=workflow_id)
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(namespace=NAMESPACE, workflow_execution=execution)
    )
    await wait_until(is_forgotten, timeout=PATIENCE, every=0.02)


async def assert_key_reused(gateway: httpx.AsyncClient, attempt: Attempt) -> None:
    response = await attempt.send(gateway, licenseCount=7)
    assert (response.status_code, response.json()["code"]) == (422, "idempotency-key-reused")


async def assert_only(database: asyncpg.Connection, attempt: Attempt, document: dict[str, Any]) -> None:
    """Assert that one operation and one tenant have the request's name: those of the document."""
    name = attempt.name
    operations = await database.fetch("SELECT workflow_id FROM alga_tenants.operations WHERE tenant_name = $1", name)
    assert [row[0] for row in operations] == [document["workflowId"]]
    tenants = await database.fetch("SELECT tenant FROM tenants WHERE client_name = $1", name)
    assert [str(row[0]) for row in tenants] == [document["tenantId"]]
