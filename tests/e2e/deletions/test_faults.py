"""A process or server is killed while deletions are at each of their steps: each ends as deleted or as undone."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import anyio
import asyncpg
import httpx
import pytest

from app.embedded.development import install
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.ports import free_port
from app.embedded.stack import DevStack
from tests.e2e.conftest import PATIENCE, SECRET, Service
from tests.e2e.deletions.places import BEGIN, DELETED, EXPORTING, LISTED, UNDO, add_places
from tests.e2e.deletions.test_deletion import read
from tests.e2e.obstacles import OBSTACLES, Gate, close_gate
from tests.e2e.replicas import kill, ready
from tests.e2e.trials import Rows, tenants_rows
from tests.support.servers import restartable
from tests.support.servers.restartable import RestartablePostgres, RestartableTemporal
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

RECORDS = "pending_tenant_deletions"
AT_ONCE: dict[str, Any] = {"confirm": True, "gracePeriodDays": 0}

Fault = Callable[[Service, "Servers"], Coroutine[Any, Any, None]]


@dataclass
class Deletion:
    """A deletion that is at some step during the fault, and then goes on to its end.

    One with `committed_before` begins and passes its gate just before that fault.
    """

    body: dict[str, Any]
    during: str | None
    gate: str | None = None
    is_undone_before: bool = False
    committed_before: Fault | None = None
    then: str | None = None
    closed: Gate | None = None
    tenant_id: str = ""
    workflow_id: str = ""
    rows: Rows = field(default_factory=Rows)

    @property
    def end(self) -> str:
        return "cancelled" if UNDO in {self.gate, self.then} else "completed"


def deletions(faults: Sequence[Fault]) -> list[Deletion]:
    return [
        Deletion({"gracePeriodDays": 0}, None, gate=BEGIN, then="confirm"),
        Deletion({"gracePeriodDays": 0}, "awaiting_confirmation", then="confirm"),
        Deletion({"gracePeriodDays": 0}, "awaiting_confirmation", then=UNDO),
        Deletion({"confirm": True, "gracePeriodDays": 30}, "waiting", then=UNDO),
        Deletion({"gracePeriodDays": 0, "export": True}, None, gate=EXPORTING, then="confirm"),
        Deletion(AT_ONCE, None, gate=LISTED),
        Deletion(AT_ONCE, None, gate=DELETED),
        *(Deletion(AT_ONCE, None, gate=DELETED, committed_before=fault) for fault in faults),
        Deletion({}, "awaiting_confirmation", gate=UNDO, is_undone_before=True),
    ]


@dataclass(frozen=True)
class Servers:
    """What can be killed."""

    postgres: RestartablePostgres
    temporal: RestartableTemporal

    def connect(self) -> Awaitable[asyncpg.Connection]:
        connected: Awaitable[asyncpg.Connection] = asyncpg.connect(self.postgres.admin_url)
        return connected


@pytest.fixture(scope="module")
def servers(server_folder: Path, temporal: RestartableTemporal) -> Iterator[Servers]:
    with RestartablePostgres(server_folder / "deletions-postgres") as postgres:
        yield Servers(postgres, temporal)


@pytest.fixture(scope="module")
def running(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An installation on the tables of development, whose purges are quick."""
    folder = tmp_path_factory.mktemp("installation")
    environment = {
        "NEXTAUTH_SECRET": SECRET,
        "TEMPORAL_TASK_QUEUE": f"faults-{uuid4()}",
        "CREATIONS_PER_HOUR": "0",
        "STEP_RETRY_WINDOW": "60",
        "TEMPORAL_RPC_TIMEOUT": "2",
        "TEMPORAL_WORKFLOW_TASK_TIMEOUT": "2",
        "EXPORT_URL": (folder / "exports").as_uri(),
    }
    with DevStack(
        folder,
        admin_database_url=servers.postgres.admin_url,
        database_url=servers.postgres.url,
        temporal_address=servers.temporal.address,
    ) as stack:
        installation = install(stack, port=free_port(), environment=environment, say=lambda _: None)
        run_blocking(_prepare(servers))
        yield Service(installation, folder / "logs", installation.processes["worker"], "", environment)


async def _prepare(servers: Servers) -> None:
    connection = await servers.connect()
    await connection.execute(OBSTACLES)
    await add_places(connection)
    await connection.close()


async def worker_killed(service: Service, servers: Servers) -> None:  # noqa: ARG001
    await kill(service.worker)
    service.worker.start()


async def gateway_killed(service: Service, servers: Servers) -> None:  # noqa: ARG001
    await kill(service.gateway)
    service.gateway.start()


async def postgres_killed(service: Service, servers: Servers) -> None:  # noqa: ARG001
    await anyio.to_thread.run_sync(restartable.kill, servers.postgres)
    await anyio.to_thread.run_sync(servers.postgres.start)


async def temporal_killed(service: Service, servers: Servers) -> None:  # noqa: ARG001
    await anyio.to_thread.run_sync(restartable.kill, servers.temporal)
    await anyio.to_thread.run_sync(servers.temporal.start)


def name(faults: Sequence[Fault]) -> str:
    return ",".join(fault.__name__ for fault in faults)


async def insist(service: Service, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Send a request until the gateway has all its servers."""
    responses: list[httpx.Response] = []

    async def is_served() -> bool:
        with suppress(httpx.TransportError):
            responses.append(await service.http.post(path, json=body))
        return bool(responses) and responses[-1].status_code not in {503, 504}

    await wait_until(is_served, timeout=PATIENCE)
    assert responses[-1].status_code == 202, responses[-1].text
    document: dict[str, Any] = responses[-1].json()
    return document


@pytest.fixture
async def trial(service: Service, servers: Servers, faults: Sequence[Fault]) -> AsyncIterator[list[Deletion]]:
    """Deletions at each step, some of which wait at a gate."""
    met = deletions(faults)
    async with AsyncExitStack() as stack:
        for deletion in met:
            deletion.tenant_id = (await service.provision())["tenantId"]
            connection = await servers.connect()
            stack.callback(connection.terminate)
            tenant_id = UUID(deletion.tenant_id)
            deletion.rows = (await tenants_rows(connection, [tenant_id]))[tenant_id]
            if deletion.gate is not None:
                deletion.closed = await close_gate(connection, deletion.gate, tenant_id)
            if deletion.committed_before is None:
                await begin(service, deletion)
        yield met


async def begin(service: Service, deletion: Deletion) -> None:
    """Start the deletion, and return once it is at its step."""
    path = f"/tenants/{deletion.tenant_id}/deletion"
    started = await insist(service, path, {"reason": "contract ended", "export": False, **deletion.body})
    deletion.workflow_id = started["workflowId"]
    if deletion.during is not None:
        await service.shown(deletion.workflow_id, deletion.during)
    if deletion.is_undone_before:
        await insist(service, f"{path}/undo")
    if deletion.closed is not None:
        await deletion.closed.reached()


async def commit(servers: Servers, deletion: Deletion) -> None:
    """Open the gate of the purge, and return as soon as its commit can be seen."""
    assert deletion.closed is not None
    query = "SELECT committed_at IS NOT NULL FROM alga_tenants.operations WHERE workflow_id = $1"
    observer = await servers.connect()
    await deletion.closed.open()
    await wait_until(lambda: observer.fetchval(query, deletion.workflow_id), timeout=PATIENCE, every=0.001)
    await observer.close()


# Gates stay closed until all faults have been met, but not without their connections to PostgreSQL. Those of a killed
# worker open while its transactions still wait at them.
@pytest.mark.parametrize("faults", [(gateway_killed, temporal_killed, worker_killed), (postgres_killed,)], ids=name)
async def test_every_deletion_ends_as_deleted_with_a_certificate_or_undone_to_the_last_row(
    service: Service, servers: Servers, trial: list[Deletion], faults: Sequence[Fault]
) -> None:
    for fault in faults:
        for deletion in trial:
            if deletion.committed_before is fault:
                await begin(service, deletion)
                await commit(servers, deletion)
        await fault(service, servers)
    for deletion in trial:
        # Its connection is lost with the server.
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            if deletion.closed is not None:
                await deletion.closed.open()
    await ready(service.gateway, service.installation.url)
    for deletion in trial:
        if deletion.then is not None:
            await service.shown(deletion.workflow_id, "awaiting_confirmation", "waiting")
            await insist(service, f"/tenants/{deletion.tenant_id}/deletion/{deletion.then}")
    observer = await servers.connect()
    for deletion in trial:
        ended = await service.finished(deletion.workflow_id)
        assert (ended["status"], ended["warnings"]) == (deletion.end, []), ended
        tenant_id = UUID(deletion.tenant_id)
        rows = (await tenants_rows(observer, [tenant_id]))[tenant_id]
        if deletion.end == "completed":
            certificate = await read(service, f"{deletion.tenant_id}/deletion/certificate")
            removed = certificate["rowsRemoved"]
            assert (sum(removed.values()) - removed.get(RECORDS, 0), rows) == (deletion.rows.total(), Rows())
        else:
            assert Rows({row: count for row, count in rows.items() if row[0] != RECORDS}) == deletion.rows
            assert (await read(service, deletion.tenant_id))["state"] == "active"
    await observer.close()
