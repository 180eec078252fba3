"""Servers and processes that are killed, restarted or unavailable while operations run."""

import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import anyio
import httpx
import pytest
from temporalio.client import Client

from tests.e2e.conftest import PATIENCE, SECRET, Service, installed, request
from tests.e2e.histories import is_completed, releases_of, shows, workers_of
from tests.e2e.obstacles import LASTING_ERROR, PASSING_ERROR, blocked, close_gate, lift, place
from tests.e2e.outages import OUTAGES, Servers, own_servers
from tests.e2e.replicas import REPOSITORY, ended, kill, ready, replica
from tests.e2e.trials import REQUEST, Rows, counts_of, tenants_rows
from tests.support.servers import restartable
from tests.support.servers.temporal import converter_of
from tests.support.waiting import wait_until
from workflows.tenants.steps import APPLY_BLUEPRINT, CREATE_ADMIN_USER, CREATE_TENANT, SET_UP_DATA, TENANT_CREATION

pytestmark = pytest.mark.anyio

# Longer than all outages; the operations to park start before them.
STEP_RETRY_WINDOW = 10.0


@pytest.fixture(scope="module")
def servers(server_folder: Path) -> Iterator[Servers]:
    with own_servers(server_folder) as servers:
        yield servers


@pytest.fixture(scope="module")
def running(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with installed(
        tmp_path_factory.mktemp("installation"),
        admin_database_url=servers.owner_url,
        database_url=servers.application_url,
        temporal_address=servers.temporal.address,
        STEP_RETRY_WINDOW=str(STEP_RETRY_WINDOW),
        STATEMENT_TIMEOUT="4",
        TEMPORAL_RPC_TIMEOUT="1",
        TEMPORAL_WORKFLOW_TASK_TIMEOUT="2",
    ) as service:
        yield service


@pytest.fixture(scope="module")
async def neighbour(service: Service, servers: Servers) -> tuple[UUID, Rows]:
    """An undisturbed tenant, and its rows."""
    tenant_id = UUID((await service.provision(**REQUEST))["tenantId"])
    return tenant_id, await rows_of(servers, tenant_id)


@pytest.fixture(scope="module")
async def parking(service: Service, servers: Servers) -> list[UUID]:
    """Operations that fail until their obstacle is lifted, and are parked after a while."""
    tenant_ids = [uuid4(), uuid4()]
    async with servers.superuser() as connection:
        for tenant_id in tenant_ids:
            await place(connection, SET_UP_DATA, tenant_id, LASTING_ERROR)
            await create(service, tenant_id)
    for tenant_id in tenant_ids:
        # Obstacles of other tests must not be the reason.
        await service.shown(TENANT_CREATION.workflow_id(tenant_id), "needs_attention")
    return tenant_ids


@pytest.fixture
async def client(servers: Servers) -> Client:
    return await Client.connect(servers.temporal.address, data_converter=converter_of(SECRET))


@pytest.mark.usefixtures("parking")
@pytest.mark.parametrize("outage", OUTAGES)
async def test_a_database_outage_only_delays_creations(
    service: Service, servers: Servers, neighbour: tuple[UUID, Rows], client: Client, outage: str
) -> None:
    created = uuid4()
    # The connections are lost, and their locks with them.
    async with servers.superuser() as gatekeeper:
        gate = await close_gate(gatekeeper, CREATE_ADMIN_USER, created)
        await create(service, created)
        await gate.reached()
        async with OUTAGES[outage].happening(servers):
            await shows(client, created, "retrying", OUTAGES[outage].code)
    assert (await service.finished(TENANT_CREATION.workflow_id(created)))["status"] == "completed"
    assert counts_of(await rows_of(servers, created)) == counts_of(neighbour[1])
    assert await rows_of(servers, neighbour[0]) == neighbour[1]


async def test_a_step_that_waits_too_long_for_a_lock_is_retried(
    service: Service, servers: Servers, client: Client
) -> None:
    tenant_id = uuid4()
    async with servers.superuser() as connection, connection.transaction():
        await connection.execute("LOCK TABLE role_permissions IN SHARE MODE")
        await create(service, tenant_id)
        await shows(client, tenant_id, "retrying", "database-timeout")
    document = await service.finished(TENANT_CREATION.workflow_id(tenant_id))
    assert document["status"] == "completed"
    attempts = {step["name"]: step["attempts"] for step in document["steps"]}
    assert attempts[APPLY_BLUEPRINT] >= 2


async def test_a_gateway_that_gets_sigterm_finishes_the_running_request(service: Service, servers: Servers) -> None:
    body, key = request(), {"Idempotency-Key": str(uuid4())}
    responses: list[httpx.Response] = []
    async with replica(service, "gateway") as gateway, service.client(gateway.url) as http:

        async def send() -> None:
            responses.append(await http.post("/tenants", json=body, headers=key))

        async def takes_no_more() -> bool:
            try:
                async with service.client(gateway.url) as late:
                    await late.get("/livez")
            except httpx.TransportError as error:
                # Other errors mean that the connection was made before the listener closed.
                return isinstance(error, httpx.ConnectError)
            return False

        async with (
            anyio.create_task_group() as group,
            servers.superuser() as onlooker,
            servers.superuser() as connection,
            connection.transaction(),
        ):
            await connection.execute("LOCK TABLE alga_tenants.idempotency_keys IN SHARE MODE")
            group.start_soon(send)
            await blocked(onlooker, connection.get_server_pid())
            gateway.process.send_signal(signal.SIGTERM)
            await wait_until(takes_no_more, timeout=PATIENCE)
            assert not responses
        await ended(gateway.process)
        assert gateway.process.exit_status == 0
    assert responses[0].status_code == 202, responses[0].text
    again = await service.http.post("/tenants", json=body, headers=key)
    assert again.json()["workflowId"] == responses[0].json()["workflowId"]
    assert (await service.finished(again.json()["workflowId"]))["status"] == "completed"


async def test_a_killed_gateway_loses_no_operation(service: Service, servers: Servers) -> None:
    waited_for, cancelled = uuid4(), uuid4()
    async with servers.superuser() as one, servers.superuser() as two:
        gates = [
            await close_gate(one, CREATE_TENANT, waited_for),
            await close_gate(two, CREATE_TENANT, cancelled),
        ]
        async with replica(service, "gateway") as gateway, service.client(gateway.url) as http:
            for tenant_id, gate in zip((waited_for, cancelled), gates, strict=True):
                assert (await http.post("/tenants", json=request(tenantId=str(tenant_id)))).status_code == 202
                await gate.reached()
            assert (await http.delete(f"/tenants/{TENANT_CREATION.workflow_id(cancelled)}")).status_code == 202
            await kill(gateway.process)
        for gate in gates:
            await gate.open()
    assert (await service.finished(TENANT_CREATION.workflow_id(waited_for)))["status"] == "completed"
    assert (await service.finished(TENANT_CREATION.workflow_id(cancelled)))["status"] == "cancelled"


async def test_a_second_worker_takes_over_from_a_killed_one(
    service: Service, servers: Servers, neighbour: tuple[UUID, Rows], client: Client
) -> None:
    tenant_id = uuid4()
    async with replica(service, "worker") as second, servers.superuser() as gatekeeper:
        processes = {process.pid: process for process in (service.worker, second.process)}
        gate = await close_gate(gatekeeper, APPLY_BLUEPRINT, tenant_id)
        await create(service, tenant_id)
        await gate.reached()
        [first] = await workers_of(client, tenant_id)
        await kill(processes.pop(first))
        await gate.open()
        assert (await service.finished(TENANT_CREATION.workflow_id(tenant_id)))["status"] == "completed"
        assert await workers_of(client, tenant_id) == {first, *processes}
    if service.worker.exit_status is not None:
        service.worker.start()
    assert counts_of(await rows_of(servers, tenant_id)) == counts_of(neighbour[1])


async def test_a_killed_temporal_loses_no_operation(
    service: Service, servers: Servers, neighbour: tuple[UUID, Rows], parking: list[UUID], client: Client
) -> None:
    working, retried, parked = uuid4(), uuid4(), parking[0]
    body, key = request(), {"Idempotency-Key": str(uuid4())}
    async with servers.superuser() as gatekeeper, servers.superuser() as connection:
        await place(connection, CREATE_ADMIN_USER, retried, PASSING_ERROR)
        gate = await close_gate(gatekeeper, APPLY_BLUEPRINT, working)
        await shows(client, parked, "needs_attention", "database-failure")
        await create(service, retried)
        await shows(client, retried, "retrying", "database-busy")
        await create(service, working)
        await gate.reached()
        await anyio.to_thread.run_sync(restartable.kill, servers.temporal)
        try:
            # The worker continues its transaction, and can report only to the database.
            await gate.open()
            for tenant_id in (working, retried, parked):
                assert (await service.status(TENANT_CREATION.workflow_id(tenant_id)))["source"] == "database"
            await service.finished(TENANT_CREATION.workflow_id(working))
            response = await service.http.post("/tenants", json=body, headers=key)
            assert (response.status_code, response.json()["code"]) == (503, "temporal-unavailable")
            await lift(connection, retried)
        finally:
            await anyio.to_thread.run_sync(servers.temporal.start)
        await ready(service.gateway, service.installation.url)
        await shows(client, parked, "needs_attention", "database-failure")
        await lift(connection, parked)
    await resume(service, parked)
    again = await service.http.post("/tenants", json=body, headers=key)
    assert (await service.finished(again.json()["workflowId"]))["status"] == "completed"
    for tenant_id in (working, retried, parked):
        assert (await service.finished(TENANT_CREATION.workflow_id(tenant_id)))["status"] == "completed"
        assert counts_of(await rows_of(servers, tenant_id)) == counts_of(neighbour[1])
        await wait_until(partial(is_completed, client, tenant_id), timeout=PATIENCE)


async def test_a_worker_of_another_release_continues_waiting_operations(
    service: Service,
    servers: Servers,
    neighbour: tuple[UUID, Rows],
    parking: list[UUID],
    client: Client,
    *,
    tmp_path: Path,
) -> None:
    retried, parked = uuid4(), parking[1]
    async with servers.superuser() as connection:
        await place(connection, CREATE_ADMIN_USER, retried, PASSING_ERROR)
        await create(service, retried)
        await shows(client, retried, "retrying", "database-busy")
        await shows(client, parked, "needs_attention", "database-failure")
        await anyio.to_thread.run_sync(service.worker.stop)
        try:
            async with replica(service, "worker", code=another_release(tmp_path)):
                for tenant_id in (retried, parked):
                    await lift(connection, tenant_id)
                    await resume(service, tenant_id)
                    assert (await service.finished(TENANT_CREATION.workflow_id(tenant_id)))["status"] == "completed"
                    assert counts_of(await rows_of(servers, tenant_id)) == counts_of(neighbour[1])
                    assert len(await releases_of(client, tenant_id)) == 2
        finally:
            service.worker.start()


async def create(service: Service, tenant_id: UUID) -> None:
    await service.create(tenantId=str(tenant_id), **REQUEST)


async def resume(service: Service, tenant_id: UUID) -> None:
    response = await service.http.post(f"/operations/{TENANT_CREATION.workflow_id(tenant_id)}/resume")
    assert response.status_code == 202, response.text


async def rows_of(servers: Servers, tenant_id: UUID) -> Rows:
    async with servers.superuser() as connection:
        return (await tenants_rows(connection, [tenant_id]))[tenant_id]


def another_release(folder: Path) -> Path:
    """Return a copy of the service's code with a small change."""
    for package in ("app", "activities", "migrations", "workflows"):
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "app" / "worker" / "factory.py").open("a") as module:
        module.write("\nRELEASE = 'another'\n")
    return folder
