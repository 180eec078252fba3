"""Start and end of real processes while the servers that they need are unavailable."""

import asyncio
import signal
from pathlib import Path

import anyio
import httpx
import pytest
from sqlalchemy import text
from temporalio.client import Client
from temporalio.worker import Worker
from typer.testing import CliRunner

from app.cli import app
from app.database import worker_engine
from app.embedded.processes.ports import LOOPBACK, free_port
from app.embedded.temporal import EmbeddedTemporal
from app.probes import CheckFailedError
from app.temporal.errors import TemporalUnavailableError
from app.worker import polling
from app.worker.main import PollingEndedError, _poll, run_worker
from app.worker.probes import WorkerHealth
from app.worker.startup import connect_to_namespace
from tests.app.worker.surroundings import PORTS, TIMEOUT, Surroundings
from tests.app.worker.test_worker import settings_for
from tests.migrations.test_migrations import make_unreleased
from tests.support.connections import connected
from tests.support.waiting import wait_until
from workflows.health_check import HealthCheckWorkflow

pytestmark = pytest.mark.anyio


async def test_processes_wait_for_missing_servers_report_them_become_ready_and_shut_down(
    surroundings: Surroundings,
) -> None:
    surroundings.database.refuse()
    surroundings.temporal.refuse()
    processes = [surroundings.start(kind, SHUTDOWN_DELAY="1.5") for kind in PORTS]
    gateway, worker = processes
    for process, ready in zip(processes, (200, 503), strict=True):
        await process.responds("/readyz", ready, "the server can't be reached")
        await process.responds("/startupz", ready)
        await process.responds("/livez", 200)
    async with connected(surroundings.admin_url) as connection:
        await make_unreleased(connection)
    await surroundings.database.accept()
    await gateway.responds("/startupz", 503, "unreleased version")
    async with connected(surroundings.admin_url) as connection:
        await connection.execute(text("DROP SCHEMA alga_tenants CASCADE"))
    for process in processes:
        said = await process.responds("/startupz", 503, "run `alga-tenants migrate`")
    assert said.json()["checks"]["polling"] == "the worker does not poll"
    await surroundings.migrate()
    for process, ready in zip(processes, (200, 503), strict=True):
        await process.responds("/readyz", ready, '"database":"ok"')
    await worker.responds("/readyz", 503, f"127.0.0.1:{surroundings.temporal.port}: no server listens there")
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
    # At its end, the gateway is unready first and serves until the delay is over.
    gateway.child.send_signal(signal.SIGTERM)
    await gateway.responds("/readyz", 503, "the process is ending")
    await gateway.responds("/openapi.json", 200)
    assert [await process.ends() for process in processes] == [0, 0]


@pytest.mark.parametrize(
    ("setting", "file"), [("BLUEPRINTS_DIR", "psa.yaml"), ("MAIL_TEMPLATES_DIR", "welcome_psa.txt")]
)
def test_an_invalid_file_ends_the_command_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, file: str
) -> None:
    # The logging of the tests' own process stays as it is.
    monkeypatch.setattr("app.cli.processes.worker.configure_logging", lambda *_, **__: None)
    (tmp_path / file).write_text("nonsense")
    unavailable = f"postgresql://nobody@{LOOPBACK}:{free_port()}/nowhere"
    result = CliRunner().invoke(
        app,
        ["worker"],
        env={
            "DATABASE_URL": unavailable,
            "ADMIN_DATABASE_URL": unavailable,
            "NEXTAUTH_SECRET": "test-nextauth-secret",
            setting: str(tmp_path),
        },
    )
    assert result.exit_code == 1
    assert file in result.stderr


async def test_a_missing_namespace_is_named(temporal: EmbeddedTemporal) -> None:
    settings = settings_for(
        "postgresql://nobody@localhost/nowhere", temporal_address=temporal.address, temporal_namespace="elsewhere"
    )
    with pytest.raises(TemporalUnavailableError, match=f"{temporal.address} has no namespace elsewhere"):
        await connect_to_namespace(settings)


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


async def test_a_worker_whose_polls_cannot_be_counted_is_not_alive(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await surroundings.migrate()
    # Temporal's SDK counts into another place than the watch's in this process, as if it had stopped polling.
    monkeypatch.setattr(polling, "MAX_SILENCE", 0.5)
    settings = settings_for(
        surroundings.admin_url,
        temporal_address=f"{LOOPBACK}:{surroundings.temporal.port}",
        temporal_task_queue="of-uncounted-polls",
        worker_probe_host=LOOPBACK,
        worker_probe_port=free_port(),
    )
    running = asyncio.create_task(run_worker(settings))
    said: list[str] = []

    async def is_not_alive() -> bool:
        assert not running.done()
        try:
            response = await http.get("/livez")
        except httpx.TransportError:
            return False
        said[:] = [response.text]
        return response.status_code == 503

    url = f"http://{LOOPBACK}:{settings.worker_probe_port}"
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT) as http:
        await wait_until(is_not_alive, timeout=TIMEOUT)
    assert "no poll for workflow tasks" in said[0]
    assert "no poll for activities" in said[0]
    signal.raise_signal(signal.SIGTERM)
    await running


async def test_a_worker_that_drains_need_not_poll() -> None:
    async def fail() -> None:
        raise CheckFailedError("no poll for 400 s")

    health = WorkerHealth(worker_engine(settings_for("postgresql://nobody@localhost/nowhere")))
    health.watch_polls(fail)
    assert (await health.probes.liveness()).missing == {"process": "no poll for 400 s"}
    health.drain()
    assert (await health.probes.liveness()).passes
