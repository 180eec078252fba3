"""One request is one operation, whichever gateway is asked, and whatever becomes of the gateways and of Temporal."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
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
from tests.e2e.obstacles import blocked, failing
from tests.e2e.replicas import Replica, kill, replica
from tests.support.servers.restartable import RestartableTemporal
from tests.support.waiting import wait_until
from workflows.tenants.steps import SET_UP_DATA

# The shape of Alga's tables has no part in it.
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("running", ["plain"], indirect=True)]


@dataclass(frozen=True)
class OtherGateway:
    """A second gateway of the installation, and a client of it."""

    replica: Replica
    http: httpx.AsyncClient


@pytest.fixture(scope="module")
async def kept(running: Service) -> AsyncIterator[OtherGateway]:
    """One for all tests, dead or alive."""
    async with replica(running, "gateway") as second, running.client(second.url) as http:
        yield OtherGateway(second, http)


@pytest.fixture
async def other(kept: OtherGateway) -> OtherGateway:
    if kept.replica.process.exit_status is not None:
        await kept.replica.start()
    return kept


@pytest.fixture
async def client(temporal: RestartableTemporal) -> Client:
    return await Client.connect(temporal.address)


@dataclass(frozen=True)
class Attempt:
    """A request with a key, whose tenant can be found by its name."""

    body: dict[str, Any] = field(default_factory=lambda: request(tenantName=f"Once {uuid4()}"))
    headers: dict[str, str] = field(default_factory=lambda: {"Idempotency-Key": str(uuid4())})

    async def send(self, gateway: httpx.AsyncClient, **changes: Any) -> httpx.Response:
        return await gateway.post("/tenants", json={**self.body, **changes}, headers=self.headers)


@pytest.fixture
def attempt() -> Attempt:
    return Attempt()


async def test_one_key_at_two_gateways_at_once_is_one_operation(
    service: Service, other: OtherGateway, database: asyncpg.Connection, attempt: Attempt
) -> None:
    del attempt.body["adminUser"]["password"]
    answers: list[dict[str, Any]] = []

    async def send(gateway: httpx.AsyncClient) -> None:
        answer = await attempt.send(gateway)
        assert answer.status_code == 202, answer.text
        answers.append(answer.json())

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(send, service.http)
            group.start_soon(send, other.http)
    assert len({(answer["workflowId"], answer["tenantId"]) for answer in answers}) == 1
    assert ["temporaryPassword" in answer for answer in answers].count(True) == 1
    assert (await service.finished(answers[0]["workflowId"]))["status"] == "completed"
    await assert_only(database, attempt, answers[0])


async def test_the_key_of_another_request_is_a_422_at_the_other_gateway(
    service: Service, other: OtherGateway, attempt: Attempt
) -> None:
    first = await attempt.send(service.http)
    assert first.status_code == 202
    await assert_key_reused(other.http, attempt)
    again = await attempt.send(other.http)
    assert (again.status_code, again.json()["workflowId"]) == (202, first.json()["workflowId"])


async def test_a_request_whose_gateway_was_killed_after_the_start_is_found_at_the_other_one(
    service: Service, other: OtherGateway, database: asyncpg.Connection, client: Client, attempt: Attempt
) -> None:
    async def is_started() -> bool:
        workflow_id = await claimed(database, attempt)
        return workflow_id is not None and await is_known(client, workflow_id)

    # Holds up the row that the gateway writes before it answers.
    async with table_locked(service, "alga_tenants.operations") as holder, unanswered(attempt, other):
        await wait_until(is_started, timeout=PATIENCE, every=0.02)
        await blocked(database, holder, application="alga-tenants-gateway")
        await kill(other.replica.process)
    await assert_found(service, database, attempt)


async def test_a_request_whose_gateway_was_killed_at_the_start_is_one_operation_of_the_other_one(
    service: Service,
    other: OtherGateway,
    database: asyncpg.Connection,
    temporal: RestartableTemporal,
    attempt: Attempt,
) -> None:
    async def is_claimed() -> bool:
        return await claimed(database, attempt) is not None

    with frozen(temporal.pid):
        async with unanswered(attempt, other):
            await wait_until(is_claimed, timeout=PATIENCE, every=0.02)
            await kill(other.replica.process)
    # What had been sent to Temporal has reached it by now, or never will.
    await assert_found(service, database, attempt)


async def test_the_same_key_finds_an_operation_that_has_left_temporal(
    service: Service, other: OtherGateway, database: asyncpg.Connection, client: Client, attempt: Attempt
) -> None:
    created = (await attempt.send(service.http)).json()
    completed = await service.finished(created["workflowId"])
    await forget(client, created["workflowId"])
    # The first has seen its end, the other one knows only what the table says.
    for gateway, source in ((service.http, "temporal"), (other.http, "database")):
        again = await attempt.send(gateway)
        document = again.json()
        assert (again.status_code, document["source"], document["status"]) == (202, source, "completed")
        assert document["workflowId"] == created["workflowId"]
        assert document["result"] == completed["result"]
        await assert_key_reused(gateway, attempt)
    assert not await is_known(client, created["workflowId"])
    await assert_only(database, attempt, created)


async def test_the_id_of_a_tenant_is_not_used_again_also_when_its_operation_has_left_temporal(
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


async def test_a_failed_creation_frees_its_tenant_id_also_when_it_has_left_temporal(
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


@asynccontextmanager
async def unanswered(attempt: Attempt, gateway: OtherGateway) -> AsyncIterator[None]:
    """Sends a request that gets no answer, because the block kills its gateway."""
    answers: list[httpx.Response] = []

    async def send() -> None:
        with suppress(httpx.TransportError):
            answers.append(await attempt.send(gateway.http))

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        yield
    assert not answers


@asynccontextmanager
async def table_locked(service: Service, table: str) -> AsyncIterator[int]:
    """Nobody writes to the table until the end of the block; gives the backend that holds the lock."""
    connection = await asyncpg.connect(service.installation.admin_database_url)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
            yield connection.get_server_pid()
    finally:
        await connection.close()


async def assert_found(service: Service, database: asyncpg.Connection, attempt: Attempt) -> None:
    """Another gateway answers the same request with the one operation, which is completed."""
    answer = await attempt.send(service.http)
    assert (answer.status_code, answer.json()["workflowId"]) == (202, await claimed(database, attempt))
    assert (await service.finished(answer.json()["workflowId"]))["status"] == "completed"
    await assert_only(database, attempt, answer.json())


async def claimed(database: asyncpg.Connection, attempt: Attempt) -> str | None:
    """The workflow id that the request's key is bound to."""
    digest = hashlib.sha256(attempt.headers["Idempotency-Key"].encode()).hexdigest()
    query = "SELECT workflow_id FROM alga_tenants.idempotency_keys WHERE key_digest = $1"
    workflow_id: str | None = await database.fetchval(query, digest)
    return workflow_id


async def is_known(client: Client, workflow_id: str) -> bool:
    """Whether Temporal knows the workflow."""
    try:
        await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True


async def forget(client: Client, workflow_id: str) -> None:
    """Let Temporal lose a workflow that has ended, as it does after its retention time."""

    async def is_forgotten() -> bool:
        return not await is_known(client, workflow_id)

    execution = WorkflowExecution(workflow_id=workflow_id)
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(namespace=NAMESPACE, workflow_execution=execution)
    )
    await wait_until(is_forgotten, timeout=PATIENCE, every=0.02)


async def assert_key_reused(gateway: httpx.AsyncClient, attempt: Attempt) -> None:
    answer = await attempt.send(gateway, licenseCount=7)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-key-reused")


async def assert_only(database: asyncpg.Connection, attempt: Attempt, document: dict[str, Any]) -> None:
    """There is one operation and one tenant of the request's name: the document's."""
    name = attempt.body["tenantName"]
    operations = await database.fetch("SELECT workflow_id FROM alga_tenants.operations WHERE tenant_name = $1", name)
    assert [row[0] for row in operations] == [document["workflowId"]]
    tenants = await database.fetch("SELECT tenant FROM tenants WHERE client_name = $1", name)
    assert [str(row[0]) for row in tenants] == [document["tenantId"]]
