"""Servers and processes that are killed, restarted or unavailable while operations run."""

import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import anyio
import asyncpg
import pytest
from temporalio.client import Client

from tests.e2e.cluster import Cluster, enlarged, installed_on
from tests.e2e.conftest import PATIENCE, SECRET, Service, request
from tests.e2e.histories import is_completed, releases_of, shows, workers_of
from tests.e2e.obstacles import LASTING_ERROR, PASSING_ERROR, close_gate, lift, place
from tests.e2e.orders import ENDS, FAULTS, Fate, Order, all_fates, play
from tests.e2e.outages import OUTAGES, Servers, own_servers
from tests.e2e.replicas import REPOSITORY, kill, ready, replica
from tests.e2e.trials import REQUEST, Rows, counts_of, tenants_rows
from tests.e2e.visibility import Counts, observing
from tests.support.servers import restartable
from tests.support.servers.temporal import converter_of
from tests.support.waiting import wait_until
from workflows.tenants.steps import APPLY_BLUEPRINT, CREATE_ADMIN_USER, SET_UP_DATA, TENANT_CREATION

pytestmark = pytest.mark.anyio

TENANT_TABLES = 459
MAX_SHOWN = 20


@pytest.fixture(scope="module")
def servers(server_folder: Path) -> Iterator[Servers]:
    with own_servers(server_folder) as servers:
        yield servers


@pytest.fixture(scope="module")
def running(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with installed_on(servers, tmp_path_factory.mktemp("installation")) as service:
        yield service


@pytest.fixture(scope="module")
async def cluster(service: Service, servers: Servers) -> AsyncIterator[Cluster]:
    async with enlarged(service, servers) as enlarged_service:
        yield enlarged_service


@pytest.fixture(autouse=True)
def some_worker(cluster: Cluster) -> None:
    """Start a worker if none runs."""
    if not cluster.workers:
        cluster.service.worker.start()


@pytest.fixture
async def both_gateways(cluster: Cluster) -> None:
    await cluster.complete_gateways()


@pytest.fixture
async def both_workers(cluster: Cluster) -> None:
    await cluster.complete_workers()


@pytest.fixture(scope="module")
async def neighbour(service: Service, servers: Servers) -> tuple[UUID, Rows]:
    """An undisturbed tenant, and its rows."""
    tenant_id = UUID((await service.provision(**REQUEST))["tenantId"])
    return tenant_id, await rows_of(servers, tenant_id)


@pytest.fixture(scope="module", autouse=True)
async def parking(service: Service, servers: Servers) -> list[UUID]:
    """Operations that fail until their obstacle is lifted, and are parked while other tests run."""
    tenant_ids = [uuid4(), uuid4()]
    async with servers.superuser() as connection:
        for tenant_id in tenant_ids:
            await place(connection, SET_UP_DATA, tenant_id, LASTING_ERROR)
            await create(service, tenant_id)
    return tenant_ids


@pytest.fixture(scope="module")
async def undisturbed(service: Service, servers: Servers) -> Counts:
    """The rows of a tenant that was created undisturbed."""
    document = await service.provision(**Order(Fate.PLAIN).body)
    async with observing(servers.superuser) as observer:
        return observer.now[document["tenantId"]]


@pytest.fixture
async def client(servers: Servers) -> Client:
    return await Client.connect(servers.temporal.address, data_converter=converter_of(SECRET))


@pytest.mark.usefixtures("both_gateways", "both_workers")
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_snapshot_shows_a_part_of_a_tenant_despite_faults(
    cluster: Cluster, undisturbed: Counts, fault: str
) -> None:
    """Orders meet the fault at work, and nothing but all of a tenant's rows is ever visible."""
    orders = all_fates()
    rivals = orders[:2]
    async with observing(cluster.servers.superuser) as observer:
        await play(cluster, orders, FAULTS[fault], observer.look)
        for order in orders:
            order.operation = await cluster.service.finished(order.operation["workflowId"])
        await observer.look()
    completed = {order.tenant_id for order in orders if order.is_completed}

    assert observer.tables == TENANT_TABLES
    seen = list(observer.incomplete_views(completed))
    assert not seen, "\n".join([f"{len(seen)} views of incomplete tenants:", *seen[:MAX_SHOWN]])
    assert observer.now.keys() - observer.before.keys() == completed
    for order in orders:
        is_rival = order in rivals
        expected = {"completed", "failed"} if is_rival else ENDS[order.fate]
        assert order.operation["status"] in expected, json.dumps(order.operation)
        assert not order.is_completed or observer.now[order.tenant_id] == undisturbed
    assert Counter(order.is_completed for order in rivals) == {True: 1, False: 1}
    async with cluster.servers.superuser() as database:
        assert await users_of(database, orders) == {order.email: 1 for order in orders if order.is_completed}


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


async def test_a_killed_temporal_loses_no_operation(
    service: Service, servers: Servers, neighbour: tuple[UUID, Rows], parking: list[UUID], client: Client
) -> None:
    working, retried, parked = uuid4(), uuid4(), parking[0]
    body, key = request(), {"Idempotency-Key": str(uuid4())}
    async with servers.superuser() as gatekeeper, servers.superuser() as connection:
        await place(connection, CREATE_ADMIN_USER, retried, PASSING_ERROR)
        gate = await close_gate(gatekeeper, APPLY_BLUEPRINT, working)
        problem = (await service.shown(TENANT_CREATION.workflow_id(parked), "needs_attention"))["error"]["code"]
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
        await shows(client, parked, "needs_attention", problem)
        await lift(connection, parked)
    await resume(service, parked)
    again = await service.http.post("/tenants", json=body, headers=key)
    assert (await service.finished(again.json()["workflowId"]))["status"] == "completed"
    for tenant_id in (working, retried, parked):
        assert (await service.finished(TENANT_CREATION.workflow_id(tenant_id)))["status"] == "completed"
        assert counts_of(await rows_of(servers, tenant_id)) == counts_of(neighbour[1])
        await wait_until(partial(is_completed, client, tenant_id), timeout=PATIENCE)


async def test_a_worker_of_another_release_takes_over_from_a_killed_one(
    cluster: Cluster,
    neighbour: tuple[UUID, Rows],
    parking: list[UUID],
    *,
    client: Client,
    tmp_path: Path,
) -> None:
    service, servers = cluster.service, cluster.servers
    working, retried, parked = uuid4(), uuid4(), parking[1]
    await anyio.to_thread.run_sync(cluster.worker.process.stop)
    async with servers.superuser() as gatekeeper, servers.superuser() as connection:
        await place(connection, CREATE_ADMIN_USER, retried, PASSING_ERROR)
        gate = await close_gate(gatekeeper, APPLY_BLUEPRINT, working)
        for tenant_id in (retried, working):
            await create(service, tenant_id)
        await shows(client, retried, "retrying", "database-busy")
        await service.shown(TENANT_CREATION.workflow_id(parked), "needs_attention")
        await gate.reached()
        [first] = await workers_of(client, working)
        assert first == service.worker.pid
        async with replica(service, "worker", code=another_release(tmp_path)) as second:
            await kill(service.worker)
            await gate.open()
            for tenant_id in (retried, parked):
                await lift(connection, tenant_id)
                await resume(service, tenant_id, may_have_ended=tenant_id == retried)
            for tenant_id in (working, retried, parked):
                assert (await service.finished(TENANT_CREATION.workflow_id(tenant_id)))["status"] == "completed"
                assert counts_of(await rows_of(servers, tenant_id)) == counts_of(neighbour[1])
            for tenant_id in (retried, parked):
                assert len(await releases_of(client, tenant_id)) == 2
            assert await workers_of(client, working) == {first, second.process.pid}


async def create(service: Service, tenant_id: UUID) -> None:
    await service.create(tenantId=str(tenant_id), **REQUEST)


async def resume(service: Service, tenant_id: UUID, *, may_have_ended: bool = False) -> None:
    """Resume an operation; one that retries may have ended by its next attempt meanwhile."""
    response = await service.http.post(f"/operations/{TENANT_CREATION.workflow_id(tenant_id)}/resume")
    has_ended = may_have_ended and response.json().get("code") == "operation-finished"
    assert response.status_code == 202 or has_ended, response.text


async def rows_of(servers: Servers, tenant_id: UUID) -> Rows:
    async with servers.superuser() as connection:
        return (await tenants_rows(connection, [tenant_id]))[tenant_id]


async def users_of(database: asyncpg.Connection, orders: list[Order]) -> dict[str, int]:
    """Return the number of internal users by e-mail of these orders."""
    query = """
        SELECT lower(email), count(*) FROM users WHERE user_type = 'internal' AND lower(email) = ANY ($1) GROUP BY 1
    """
    return dict(map(tuple, await database.fetch(query, [order.email for order in orders])))


def another_release(folder: Path) -> Path:
    """Return a copy of the service's code, compiled where the original is, that reports another version."""
    for package in ("app", "activities", "migrations", "workflows"):
        shutil.copytree(REPOSITORY / package, folder / package)
    module = folder / "app" / "worker" / "factory.py"
    code, ours = module.read_text(), 'version("alga-tenants")'
    assert ours in code
    module.write_text(code.replace(ours, '"another"'))
    return folder
