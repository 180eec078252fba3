"""A tenant is invisible until it is complete: no snapshot of the database ever shows some of its rows.

Tenants are created in waves. In the middle of each wave workers, a gateway, or the database end.
"""

import itertools
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import anyio
import asyncpg
import httpx
import pytest

from tests.activities.purge.rows import RowWriter
from tests.e2e.conftest import PATIENCE, Service, installed, request
from tests.e2e.obstacles import FINAL_ERROR, LAST_TABLE, close_gate, place
from tests.e2e.outages import Servers, killed, own_servers, read_only
from tests.e2e.replicas import Replica, kill, replica
from tests.e2e.visibility import Counts, observing, rows_in
from tests.support.alga import ALGA, CATALOGS
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

TENANT_TABLES = 459
PLAIN_ORDERS = 16
MAX_SHOWN = 20
REPEAT_EVERY = 0.2
UNAVAILABLE = {503, 504}
# A creation has written nearly everything here, and not committed it.
LAST_STEP = [*LAST_TABLE][-1]


class Fate(StrEnum):
    """What happens to a request for a tenant."""

    PLAIN = "nothing"
    HELD = "waits in its last step while the fault happens"
    REFUSED = "the database refuses its last rows"
    CANCELLED = "is cancelled at once"
    HELD_AND_CANCELLED = "waits in its last step and is cancelled there"


ENDS = {
    Fate.PLAIN: {"completed"},
    Fate.HELD: {"completed"},
    Fate.REFUSED: {"failed"},
    # The commit may come first.
    Fate.CANCELLED: {"cancelled", "completed"},
    Fate.HELD_AND_CANCELLED: {"cancelled", "completed"},
}


@dataclass(eq=False)
class Order:
    """A request for a tenant and the operation that it became."""

    fate: Fate
    body: dict[str, Any] = field(default_factory=lambda: request(licenseCount=5, addons=["ai"]))
    key: str = field(default_factory=lambda: str(uuid4()))
    operation: dict[str, Any] = field(default_factory=dict)

    @property
    def email(self) -> str:
        return str(self.body["adminUser"]["email"])

    @property
    def tenant_id(self) -> str:
        return str(self.operation["tenantId"])

    @property
    def is_completed(self) -> bool:
        return bool(self.operation["status"] == "completed")

    def choose_tenant_id(self) -> UUID:
        """Give the order a tenant id of the caller's."""
        tenant_id = uuid4()
        self.body["tenantId"] = str(tenant_id)
        return tenant_id


@dataclass(frozen=True)
class Cluster:
    """Two gateways and two workers on one database."""

    service: Service
    servers: Servers
    gateway: Replica
    worker: Replica
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient]

    async def insist(self, method: str, path: str, **rest: Any) -> httpx.Response:
        """Try one gateway after the other until one that has all its servers responds."""
        responses: list[httpx.Response] = []
        turns = itertools.cycle(self.clients)

        async def is_answered() -> bool:
            try:
                responses.append(await next(turns).request(method, path, **rest))
            except httpx.TransportError:
                return False
            return responses[-1].status_code not in UNAVAILABLE

        await wait_until(is_answered, timeout=PATIENCE, every=REPEAT_EVERY)
        return responses[-1]

    async def place(self, order: Order) -> None:
        """Send the request until it is accepted, and cancel the operation if that is its fate."""
        response = await self.insist("POST", "/tenants", json=order.body, headers={"Idempotency-Key": order.key})
        assert response.status_code == 202, response.text
        order.operation = response.json()
        if order.fate is Fate.CANCELLED:
            await self.cancel(order.operation["workflowId"])

    async def cancel(self, workflow_id: str) -> None:
        """Cancel the operation, which may have ended."""
        response = await self.insist("DELETE", f"/tenants/{workflow_id}")
        assert response.status_code in {202, 409}, response.text


async def kill_gateway_and_worker(cluster: Cluster) -> None:
    """Leave the work to the others for a while."""
    for killed_replica in (cluster.gateway, cluster.worker):
        await kill(killed_replica.process)
    await start(cluster.gateway, cluster.worker)


async def kill_all_workers(cluster: Cluster) -> None:
    await kill(cluster.service.worker)
    await kill(cluster.worker.process)
    cluster.service.worker.start()
    await start(cluster.worker)


async def kill_database(cluster: Cluster) -> None:
    async with killed(cluster.servers):
        pass


async def restart_database_at_once(cluster: Cluster) -> None:
    """Shut PostgreSQL down immediately, which ends all connections; the next start recovers."""
    cluster.servers.postgres.process.send_signal(signal.SIGQUIT)
    await anyio.to_thread.run_sync(cluster.servers.postgres.stop)
    await anyio.to_thread.run_sync(cluster.servers.postgres.start)


async def fail_over(cluster: Cluster) -> None:
    async with read_only(cluster.servers):
        pass


FAULTS: dict[str, Callable[[Cluster], Awaitable[None]]] = {
    "gateway-and-worker-killed": kill_gateway_and_worker,
    "all-workers-killed": kill_all_workers,
    "database-killed": kill_database,
    "database-restarted-at-once": restart_database_at_once,
    "database-failed-over": fail_over,
}


@pytest.fixture(scope="module")
def servers(server_folder: Path) -> Iterator[Servers]:
    with own_servers(server_folder / "visibility") as servers:
        yield servers


@pytest.fixture(scope="module")
def running(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with installed(
        tmp_path_factory.mktemp("installation"),
        admin_database_url=servers.owner_url,
        database_url=servers.application_url,
        temporal_address=servers.temporal.address,
        # No operation must be parked.
        STEP_RETRY_WINDOW=str(PATIENCE),
        STATEMENT_TIMEOUT="18",
        TEMPORAL_RPC_TIMEOUT="1",
        TEMPORAL_WORKFLOW_TASK_TIMEOUT="2",
    ) as service:
        yield service


@pytest.fixture(scope="module")
async def cluster(service: Service, servers: Servers) -> AsyncIterator[Cluster]:
    async with (
        replica(service, "gateway") as gateway,
        replica(service, "worker") as worker,
        service.client(gateway.url) as http,
    ):
        yield Cluster(service, servers, gateway, worker, (service.http, http))


@pytest.fixture(scope="module")
async def undisturbed(cluster: Cluster) -> Counts:
    """The rows of a tenant that was created undisturbed."""
    document = await cluster.service.provision(**Order(Fate.PLAIN).body)
    async with observing(cluster.servers.superuser) as observer:
        return observer.now[document["tenantId"]]


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_snapshot_shows_a_part_of_a_tenant_despite_faults(
    cluster: Cluster, undisturbed: Counts, fault: str
) -> None:
    orders = [Order(fate) for fate in Fate for _ in range(PLAIN_ORDERS if fate is Fate.PLAIN else 2)]
    rivals = orders[:2]
    rivals[1].body["adminUser"]["email"] = rivals[0].email
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


async def test_the_observer_reports_the_rows_of_a_transaction_together(servers: Servers) -> None:
    tenant_id = uuid4()
    async with servers.superuser() as database, observing(servers.superuser) as observer:
        async with by_hand(database):
            await database.execute(one_row(tenant_id, "tenants"))
            await database.execute(one_row(tenant_id, "tenant_settings"))
            await observer.look()
        await observer.look()
    assert rows_in(observer.now[str(tenant_id)]) == 2
    assert not list(observer.incomplete_views({str(tenant_id)}))


async def test_the_observer_reports_a_tenant_written_in_two_transactions(servers: Servers) -> None:
    tenant_id = uuid4()
    async with servers.superuser() as database, observing(servers.superuser) as observer:
        for table in ("tenants", "tenant_settings"):
            async with by_hand(database):
                await database.execute(one_row(tenant_id, table))
            await observer.look()
    [seen] = observer.incomplete_views({str(tenant_id)})
    assert seen.startswith(f"tenant {tenant_id} had 1 of 2 rows, with 1 tables incomplete (tenant_settings), in ")


@pytest.mark.parametrize(
    ("table", "column"),
    [("tenants", "tenant"), ("agents", "tenant"), ("extensions", "tenant_id"), ("extension_storage", "tenant_id")],
)
async def test_the_observer_reports_one_row_of_an_incomplete_tenant(
    servers: Servers, table: str, column: str
) -> None:
    tenant_id = uuid4()
    async with servers.superuser() as database, observing(servers.superuser) as observer:
        async with by_hand(database):
            await database.execute(one_row(tenant_id, table))
        await observer.look()
        await database.execute(f"DELETE FROM {table} WHERE {column}::text = $1", str(tenant_id))  # noqa: S608 - a name of this test
        await observer.look()
    [seen] = observer.incomplete_views(())
    assert seen.startswith(f"tenant {tenant_id} had 1 rows instead of none in ")


async def test_the_observer_reports_a_tenant_that_disappears_for_a_while(servers: Servers) -> None:
    tenant_id = uuid4()
    async with servers.superuser() as database, observing(servers.superuser) as observer:
        for _ in range(2):
            await database.execute("DELETE FROM tenants WHERE tenant = $1", tenant_id)
            await observer.look()
            async with by_hand(database):
                await database.execute(one_row(tenant_id, "tenants"))
            await observer.look()
    [seen] = observer.incomplete_views({str(tenant_id)})
    assert seen.startswith(f"tenant {tenant_id} had no rows in ")


async def play(
    cluster: Cluster,
    orders: list[Order],
    fault: Callable[[Cluster], Awaitable[None]],
    look: Callable[[], Awaitable[None]],
) -> None:
    """Place all orders: some before the fault, which then meets them at work, and some during it."""
    held = [order for order in orders if order.fate in {Fate.HELD, Fate.HELD_AND_CANCELLED}]
    rest = [order for order in orders if order not in held]
    # Closing this connection opens the gates; only then does the group wait for the responses.
    async with anyio.create_task_group() as group, cluster.servers.superuser() as gatekeeper:
        for order in orders:
            if order.fate is Fate.REFUSED:
                await place(gatekeeper, LAST_STEP, order.choose_tenant_id(), FINAL_ERROR)
        gates = [await close_gate(gatekeeper, LAST_STEP, order.choose_tenant_id()) for order in held]
        for order in (*held, *rest[::2]):
            group.start_soon(cluster.place, order)
        for gate in gates:
            await gate.reached()
        await look()
        for order in held:
            if order.fate is Fate.HELD_AND_CANCELLED:
                group.start_soon(cluster.cancel, f"tenant-creation-{order.body['tenantId']}")
        for order in rest[1::2]:
            group.start_soon(cluster.place, order)
        await fault(cluster)


async def start(*replicas: Replica) -> None:
    """Return once all of them are ready."""
    async with anyio.create_task_group() as group:
        for stopped in replicas:
            group.start_soon(stopped.start)


async def users_of(database: asyncpg.Connection, orders: list[Order]) -> dict[str, int]:
    """Return the number of internal users by e-mail of these orders."""
    query = """
        SELECT lower(email), count(*) FROM users WHERE user_type = 'internal' AND lower(email) = ANY ($1) GROUP BY 1
    """
    return dict(map(tuple, await database.fetch(query, [order.email for order in orders])))


@asynccontextmanager
async def by_hand(database: asyncpg.Connection) -> AsyncIterator[None]:
    """Open a transaction without foreign key checks."""
    async with database.transaction():
        await database.execute("SET LOCAL session_replication_role = replica")
        yield


def one_row(tenant_id: UUID, table: str) -> str:
    [statement] = RowWriter(json.loads((ALGA / CATALOGS["plain"]).read_text())).rows_of(tenant_id, [table])
    return statement
