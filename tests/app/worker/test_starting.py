"""Start and end of real processes while the servers that they need are unavailable."""

import asyncio
import signal
from pathlib import Path

import anyio
import pytest
from sqlalchemy import text
from temporalio.client import Client
from temporalio.worker import Worker

from activities.alga.blueprints.blueprint import BUILT_IN
from app.database import worker_engine
from app.embedded.temporal import EmbeddedTemporal
from app.worker.main import PollingEndedError, _poll
from app.worker.probes import WorkerHealth
from tests.app.worker.surroundings import PORTS, TIMEOUT, Surroundings
from tests.app.worker.test_worker import settings_for
from tests.migrations.test_migrations import make_unreleased
from tests.support.connections import connected
from tests.support.servers.processes import wait_for
from workflows.health_check import HealthCheckWorkflow

pytestmark = pytest.mark.anyio


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


async def test_a_worker_does_not_poll_while_algas_tables_do_not_fit(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    await surroundings.migrate()
    rows = "rows:\n  boards:\n    columns: {board_name: text}\n    rows: {'1': {board_name: General}}\n"
    (tmp_path / "psa.yaml").write_text((BUILT_IN / "psa.yaml").read_text() + rows)
    async with connected(surroundings.admin_url) as connection:
        await connection.execute(text("ALTER TABLE user_roles RENAME TO elsewhere"))
    worker = surroundings.start("worker", BLUEPRINTS_DIR=str(tmp_path))
    said = await worker.responds("/startupz", 503, "user_roles: the table is missing")
    assert "blueprint psa: rows.boards: the database has no such table" in said.text
    assert said.json()["checks"]["polling"] == "the worker does not poll"
    async with connected(surroundings.admin_url) as connection:
        await connection.execute(text("ALTER TABLE elsewhere RENAME TO user_roles"))
        await connection.execute(text("CREATE TABLE boards (tenant uuid, board_name text)"))
    await worker.responds("/startupz", 200)


@pytest.mark.parametrize(
    ("setting", "file"), [("BLUEPRINTS_DIR", "psa.yaml"), ("MAIL_TEMPLATES_DIR", "welcome_psa.txt")]
)
async def test_an_invalid_file_ends_the_process_at_once(
    surroundings: Surroundings, tmp_path: Path, setting: str, file: str
) -> None:
    (tmp_path / file).write_text("nonsense")
    worker = surroundings.start("worker", **{setting: str(tmp_path)})
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
