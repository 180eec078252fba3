"""A process or server is killed while deletions are at each of their steps: each ends as deleted or as undone."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

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
from tests.e2e.deletions.test_deletion import delete, read
from tests.e2e.obstacles import OBSTACLES, Gate, close_gate
from tests.e2e.replicas import kill, ready
from tests.e2e.trials import Rows, tenants_rows
from tests.support.servers import restartable
from tests.support.servers.restartable import RestartablePostgres, RestartableTemporal
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

RECORDS = "pending_tenant_deletions"
AT_ONCE: dict[str, Any] = {"confirm": True, "gracePeriodDays": 0}


@dataclass
class Deletion:
    """A deletion that is at some step during the fault, and then goes on to its end.

    One that is `committed` has passed its gate just before the fault.
    """

    body: dict[str, Any]
    during: str | None
    gate: str | None = None
    is_undone_before: bool = False
    is_committed: bool = False
    then: str | None = None
    closed: Gate | None = None
    tenant_id: str = ""
    workflow_id: str = ""
    rows: Rows = field(default_factory=Rows)

    @property
    def end(self) -> str:
        return "cancelled" if UNDO in {self.gate, self.then} else "completed"


def deletions() -> list[Deletion]:
    return [
        Deletion({"gracePeriodDays": 0}, None, gate=BEGIN, then="confirm"),
        Deletion({"gracePeriodDays": 0}, "awaiting_confirmation", then="confirm"),
        Deletion({"gracePeriodDays": 0}, "awaiting_confirmation", then=UNDO),
        Deletion({"confirm": True, "gracePeriodDays": 30}, "waiting", then=UNDO),
        Deletion({"gracePeriodDays": 0, "export": True}, None, gate=EXPORTING, then="confirm"),
        Deletion(AT_ONCE, None, gate=LISTED),
        Deletion(AT_ONCE, None, gate=DELETED),
        Deletion(AT_ONCE, None, gate=DELETED, is_committed=True),
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
def servers(server_folder: Path) -> Iterator[Servers]:
    with (
        RestartablePostgres(server_folder / "deletions-postgres") as postgres,
        RestartableTemporal(server_folder / "deletions-temporal") as temporal,
    ):
        yield Servers(postgres, temporal)


@pytest.fixture(scope="module")
def running(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An installation on the tables of development, whose purges are quick."""
    folder = tmp_path_factory.mktemp("installation")
    environment = {
        "NEXTAUTH_SECRET": SECRET,
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


async def insist(service: Service, path: str) -> None:
    """Send a request until a gateway has all its servers."""
    responses: list[httpx.Response] = []

    async def is_served() -> bool:
        with suppress(httpx.TransportError):
            responses.append(await service.http.post(path))
        return bool(responses) and responses[-1].status_code not in {503, 504}

    await wait_until(is_served, timeout=PATIENCE)
    assert responses[-1].status_code == 202, responses[-1].text


@pytest.fixture
async def trial(service: Service, servers: Servers) -> AsyncIterator[list[Deletion]]:
    """Deletions at each step, some of which wait at a gate."""
    met = deletions()
    async with AsyncExitStack() as stack:
        for deletion in met:
            deletion.tenant_id = (await service.provision())["tenantId"]
            connection = await servers.connect()
            stack.callback(connection.terminate)
            tenant_id = UUID(deletion.tenant_id)
            deletion.rows = (await tenants_rows(connection, [tenant_id]))[tenant_id]
            if deletion.gate is not None:
                deletion.closed = await close_gate(connection, deletion.gate, tenant_id)
            deletion.workflow_id = (await delete(service, deletion.tenant_id, **deletion.body))["workflowId"]
            if deletion.during is not None:
                await service.shown(deletion.workflow_id, deletion.during)
            if deletion.is_undone_before:
                await insist(service, f"/tenants/{deletion.tenant_id}/deletion/undo")
            if deletion.closed is not None:
                await deletion.closed.reached()
        yield met


async def commit(servers: Servers, deletion: Deletion) -> None:
    """Open the gate of the purge, and return as soon as its commit can be seen."""
    assert deletion.closed is not None
    query = "SELECT committed_at IS NOT NULL FROM alga_tenants.operations WHERE workflow_id = $1"
    observer = await servers.connect()
    await deletion.closed.open()
    await wait_until(lambda: observer.fetchval(query, deletion.workflow_id), timeout=PATIENCE, every=0.001)
    await observer.close()


@pytest.mark.parametrize("fault", [worker_killed, gateway_killed, postgres_killed, temporal_killed])
async def test_every_deletion_ends_as_deleted_with_a_certificate_or_undone_to_the_last_row(
    service: Service,
    servers: Servers,
    trial: list[Deletion],
    fault: Callable[[Service, Servers], Awaitable[None]],
) -> None:
    for deletion in trial:
        if deletion.is_committed:
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
