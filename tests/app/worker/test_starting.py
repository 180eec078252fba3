"""Start and end of real processes while the servers that they need are unavailable."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from sqlalchemy import make_url, text
from temporalio.client import Client
from temporalio.worker import Worker

from activities.alga.development import create_development_tables
from app.database import worker_engine
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.ports import LOOPBACK, free_port
from app.embedded.processes.processes import ChildProcess
from app.embedded.temporal import EmbeddedTemporal
from app.worker.main import PollingEndedError, _poll
from app.worker.probes import WorkerHealth
from migrations.upgrade import upgrade
from tests.app.worker.test_worker import settings_for
from tests.migrations.test_migrations import make_unreleased
from tests.support.connections import connected
from tests.support.servers.databases import NewDatabase
from tests.support.servers.processes import wait_for
from tests.support.servers.proxy import Proxy
from workflows.health_check import HealthCheckWorkflow

pytestmark = pytest.mark.anyio

REPOSITORY = Path(__file__).parents[3]
PORTS = {"gateway": "GATEWAY_PORT", "worker": "WORKER_PROBE_PORT"}
TIMEOUT = 40.0


class Process:
    """A gateway or worker process, and its probes."""

    def __init__(self, kind: str, folder: Path, environment: dict[str, str]) -> None:
        self._url = f"http://{LOOPBACK}:{(port := free_port())}"
        self.child = ChildProcess(
            kind,
            [sys.executable, "-m", "app.cli", kind],
            log_file=folder / f"{kind}.log",
            env={"PATH": os.defpath, **environment, PORTS[kind]: str(port)},
            cwd=REPOSITORY,
        )
        self.child.start()

    async def responds(self, path: str, status: int, detail: str = "") -> httpx.Response:
        """Return the first response with that status and text, and repeat the request until then."""
        response = None
        with anyio.move_on_after(TIMEOUT):
            while response is None or response.status_code != status or detail not in response.text:
                assert self.child.exit_status is None, self.child.log_tail()
                response = await self._ask(path)
        assert response is not None, self.child.log_tail()
        assert (response.status_code, detail in response.text) == (status, True), response.text
        return response

    async def ends(self) -> int | None:
        """Return the exit status after SIGTERM."""
        self.child.send_signal(signal.SIGTERM)
        await anyio.to_thread.run_sync(wait_for, lambda: self.child.exit_status is not None)
        return self.child.exit_status

    async def _ask(self, path: str) -> httpx.Response | None:
        try:
            async with httpx.AsyncClient(base_url=self._url, timeout=5) as http:
                return await http.get(path)
        except httpx.TransportError:
            await anyio.sleep(0.05)
            return None


class Surroundings:
    """An empty database and a Temporal server, each behind a proxy that can cut the connection."""

    def __init__(self, admin_url: str, database: Proxy, temporal: Proxy, folder: Path) -> None:
        self.admin_url = admin_url
        self.database = database
        self.temporal = temporal
        self._folder = folder
        self.started: list[Process] = []

    def start(self, kind: str, **changes: str) -> Process:
        through = urlsplit(self.admin_url)
        url = through._replace(
            netloc=f"{through.username}:{through.password}@{LOOPBACK}:{self.database.port}"
        ).geturl()
        environment = {
            "DATABASE_URL": url,
            "ADMIN_DATABASE_URL": url,
            "NEXTAUTH_SECRET": "test-nextauth-secret",
            "TEMPORAL_ADDRESS": f"{LOOPBACK}:{self.temporal.port}",
            "GATEWAY_HOST": LOOPBACK,
            "WORKER_PROBE_HOST": LOOPBACK,
            **changes,
        }
        self.started.append(Process(kind, self._folder, environment))
        return self.started[-1]

    async def migrate(self) -> None:
        """Run our migrations, and create Alga's tables."""
        async with connected(self.admin_url) as connection:
            await create_development_tables(connection)
        await upgrade(make_url(self.admin_url).set(drivername="postgresql+asyncpg"))


@pytest.fixture
def empty_database(new_database: NewDatabase) -> str:
    return new_database()


@pytest.fixture
async def surroundings(
    empty_database: str, postgres: EmbeddedPostgres, temporal: EmbeddedTemporal, tmp_path: Path
) -> AsyncIterator[Surroundings]:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Proxy(urlsplit(postgres.admin_url).port or 0))
        server = await stack.enter_async_context(Proxy(int(temporal.address.rpartition(":")[2])))
        made = Surroundings(empty_database, database, server, tmp_path)
        yield made
        for process in made.started:
            await anyio.to_thread.run_sync(process.child.stop)


async def test_processes_wait_for_missing_servers_report_them_and_become_ready(
    surroundings: Surroundings,
) -> None:
    surroundings.database.refuse()
    surroundings.temporal.refuse()
    processes = [surroundings.start(kind) for kind in PORTS]
    for process, ready in zip(processes, (200, 503), strict=True):
        await process.responds("/readyz", ready, "the server can't be reached")
        await process.responds("/startupz", ready)
        await process.responds("/livez", 200)
    await surroundings.database.accept()
    for process in processes:
        await process.responds("/startupz", 503, "run `alga-tenants migrate`")
    async with connected(surroundings.admin_url) as connection:
        await make_unreleased(connection)
    for process in processes:
        await process.responds("/startupz", 503, "unreleased version")
    async with connected(surroundings.admin_url) as connection:
        await connection.execute(text("DROP SCHEMA alga_tenants CASCADE"))
    await surroundings.migrate()
    for process, ready in zip(processes, (200, 503), strict=True):
        await process.responds("/readyz", ready, '"database":"ok"')
    await processes[-1].responds("/readyz", 503, f"127.0.0.1:{surroundings.temporal.port}: can't be reached")
    await surroundings.temporal.accept()
    for process in processes:
        await process.responds("/readyz", 200, '"status":"ok"')
        await process.responds("/startupz", 200)
    # Outages later on are reported, and take no process out of rotation.
    surroundings.database.refuse()
    surroundings.temporal.refuse()
    for process in processes:
        await process.responds("/readyz", 200, '"status":"degraded"')
        await process.responds("/livez", 200)
        await process.responds("/startupz", 200)
    assert [await process.ends() for process in processes] == [0, 0]


async def test_a_worker_does_not_poll_while_algas_tables_do_not_fit(surroundings: Surroundings) -> None:
    await surroundings.migrate()
    async with connected(surroundings.admin_url) as connection:
        await connection.execute(text("ALTER TABLE user_roles RENAME TO elsewhere"))
    worker = surroundings.start("worker")
    said = await worker.responds("/startupz", 503, "user_roles: the table is missing")
    assert said.json()["checks"]["polling"] == "the worker does not poll"
    async with connected(surroundings.admin_url) as connection:
        await connection.execute(text("ALTER TABLE elsewhere RENAME TO user_roles"))
    await worker.responds("/startupz", 200)


async def test_an_invalid_blueprint_ends_the_process_at_once(surroundings: Surroundings, tmp_path: Path) -> None:
    (tmp_path / "psa.yaml").write_text("nonsense")
    worker = surroundings.start("worker", BLUEPRINTS_DIR=str(tmp_path))
    await anyio.to_thread.run_sync(wait_for, lambda: worker.child.exit_status is not None)
    assert worker.child.exit_status == 1


async def test_a_missing_namespace_is_named_and_a_waiting_worker_ends_on_sigterm(surroundings: Surroundings) -> None:
    await surroundings.migrate()
    worker = surroundings.start("worker", TEMPORAL_NAMESPACE="elsewhere")
    await worker.responds("/readyz", 503, "has no namespace elsewhere")
    await worker.responds("/livez", 200)
    assert await worker.ends() == 0


async def test_a_gateway_that_shuts_down_is_unready_first_and_serves_until_the_delay_is_over(
    surroundings: Surroundings,
) -> None:
    await surroundings.migrate()
    gateway = surroundings.start("gateway", SHUTDOWN_DELAY="1.5")
    await gateway.responds("/readyz", 200)
    gateway.child.send_signal(signal.SIGTERM)
    await gateway.responds("/readyz", 503, "the process is ending")
    await gateway.responds("/openapi.json", 200)
    await anyio.to_thread.run_sync(wait_for, lambda: gateway.child.exit_status is not None)
    assert gateway.child.exit_status == 0


async def test_a_worker_whose_poller_dies_is_not_alive_and_fails(
    temporal: EmbeddedTemporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for("postgresql://nobody@localhost/nowhere")
    health = WorkerHealth(worker_engine(settings))
    worker = Worker(
        await Client.connect(temporal.address),
        task_queue="of-a-dying-poller",
        workflows=[HealthCheckWorkflow],
        on_fatal_error=health.poller_failed,
    )

    async def die() -> None:
        raise RuntimeError("the connection is not one any more")

    assert (await health.probes.liveness()).checks["process"] == "ok"
    monkeypatch.setattr(worker._bridge_worker, "poll_workflow_activation", die)
    with pytest.raises(PollingEndedError, match="not one any more"):
        await _poll(worker, asyncio.Event(), health)
    assert (await health.probes.liveness()).checks["process"] == "polling failed with RuntimeError"
    assert (await health.probes.readiness()).checks["polling"] == "polling failed with RuntimeError"


async def test_a_worker_that_shuts_down_is_unready_first(temporal: EmbeddedTemporal) -> None:
    settings = settings_for("postgresql://nobody@localhost/nowhere")
    health = WorkerHealth(worker_engine(settings))
    worker = Worker(
        await Client.connect(temporal.address), task_queue="of-a-short-life", workflows=[HealthCheckWorkflow]
    )
    stop = asyncio.Event()
    polling = asyncio.create_task(_poll(worker, stop, health))
    with anyio.fail_after(TIMEOUT):
        while (await health.probes.readiness()).checks["polling"] != "ok":
            pass
    stop.set()
    await polling
    assert (await health.probes.readiness()).checks["shutdown"] == "the process is ending"
    assert (await health.probes.liveness()).checks["process"] == "ok"
