"""A worker process beside workers of another service, on a real Temporal server."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import httpx
import pytest
from structlog.testing import capture_logs
from temporalio.client import Client

from app.embedded.processes.ports import LOOPBACK, free_port
from app.embedded.temporal import EmbeddedTemporal
from app.settings import Settings
from app.telemetry.metrics.definitions import REGISTRY
from app.temporal.client import connect
from app.temporal.task_queue import RECENT, TaskQueue
from app.worker.foreign_workers import check_task_queue, watch_task_queue
from app.worker.main import run_worker
from app.worker.startup import ForeignWorkersError, retry_until_ready
from tests.app.worker.surroundings import Surroundings, responds
from tests.app.worker.test_worker import settings_for
from tests.support.foreign_worker import FOREIGN, THEIR_WORKFLOW, MaintenanceJob, foreign_worker
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

PATIENCE = 60.0
OLDER_RELEASE = "alga-tenants/0.1.9/7@older-pod"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(temporal: EmbeddedTemporal) -> Settings:
    return settings_for(
        "postgresql://nobody@localhost/nowhere",
        temporal_address=temporal.address,
        temporal_task_queue=f"contested-{uuid4()}",
    )


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test look at a queue as often as it likes."""
    monkeypatch.setattr("app.temporal.task_queue.MIN_LOOK_INTERVAL", 0)
    monkeypatch.setattr("app.worker.foreign_workers.WATCH_INTERVAL", 0.05)


@pytest.fixture
async def queue(settings: Settings, clock: Clock, looks_often: None) -> TaskQueue:  # noqa: ARG001 - for its effect
    return TaskQueue(await connect(settings), settings, clock=clock)


@pytest.fixture
async def own_queue(settings: Settings, looks_often: None) -> TaskQueue:  # noqa: ARG001 - for its effect
    settings = settings.model_copy(update={"temporal_task_queue": f"own-{uuid4()}"})
    return TaskQueue(await connect(settings), settings)


async def identities(queue: TaskQueue) -> set[str]:
    found = await queue.workers()
    return {worker.identity for worker in (*found.own, *found.foreign)}


@asynccontextmanager
async def polling(queue: TaskQueue, address: str, identity: str = FOREIGN) -> AsyncIterator[Client]:
    """Run a worker during the block, which begins once Temporal lists it."""

    async def is_listed() -> bool:
        return identity in await identities(queue)

    async with foreign_worker(address, queue.name, identity=identity) as client:
        await wait_until(is_listed, timeout=PATIENCE)
        yield client


def shown(owner: str) -> float | None:
    return REGISTRY.get_sample_value("alga_tenants_task_queue_workers", {"owner": owner})


@dataclass
class RunningWorker:
    """A worker of this process, and its probes."""

    url: str
    task: asyncio.Task[None]

    async def responds(self, path: str, status: int, detail: str = "") -> httpx.Response:
        """Return the first response with that status and text."""

        def check_running() -> None:
            assert not self.task.done(), self.task

        return await responds(self.url, path, status, detail, check_running=check_running)


@asynccontextmanager
async def running_worker(
    surroundings: Surroundings, queue: TaskQueue, **changes: object
) -> AsyncIterator[RunningWorker]:
    """Run a worker on that queue during the block, and end it with SIGTERM."""
    settings = settings_for(
        surroundings.admin_url,
        temporal_address=f"{LOOPBACK}:{surroundings.temporal.port}",
        temporal_task_queue=queue.name,
        worker_probe_host=LOOPBACK,
        worker_probe_port=(port := free_port()),
        **changes,
    )
    task = asyncio.create_task(run_worker(settings))
    try:
        yield RunningWorker(f"http://{LOOPBACK}:{port}", task)
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await task
    finally:
        task.cancel()


async def test_a_worker_refuses_a_foreign_queue_unless_a_setting_allows_it(
    surroundings: Surroundings, temporal: EmbeddedTemporal, queue: TaskQueue
) -> None:
    await surroundings.migrate()
    async with polling(queue, temporal.address) as theirs:
        jobs = [
            await theirs.start_workflow(MaintenanceJob.run, id=f"job-{uuid4()}", task_queue=queue.name)
            for _ in range(20)
        ]
        with capture_logs() as logs:
            # At the end of the block, it ends on SIGTERM although it waits.
            async with running_worker(surroundings, queue) as refused:
                response = await refused.responds("/readyz", 503, f"poll task queue {queue.name}: {FOREIGN}")
                checks = response.json()["checks"]
                assert "set TEMPORAL_TASK_QUEUE to a queue of our own, or stop those workers" in checks["task-queue"]
                assert (checks["polling"], checks["temporal"]) == ("the worker does not poll", "ok")
                await refused.responds("/startupz", 503)
                await refused.responds("/livez", 200)
                # No task goes astray.
                for job in jobs:
                    await job.signal(MaintenanceJob.finish)
                assert {await job.result() for job in jobs} == {"done by the other service"}
        assert {line["event"] for line in logs if "next_try_in" in line} == {"waiting to start"}
        for job in jobs:
            assert await first_identity(theirs, job.id) == {FOREIGN}
        assert await identities(queue) == {FOREIGN}
        with capture_logs() as logs:
            async with running_worker(surroundings, queue, allow_foreign_pollers=True) as allowed:
                response = await allowed.responds("/readyz", 200, f"poll task queue {queue.name}: {FOREIGN}")
                assert (response.json()["status"], response.json()["checks"]["polling"]) == ("degraded", "ok")
        assert any("because ALLOW_FOREIGN_POLLERS is true" in line["event"] for line in logs)


async def test_a_worker_shares_its_queue_with_another_release(
    surroundings: Surroundings, temporal: EmbeddedTemporal, own_queue: TaskQueue
) -> None:
    async def both_releases_poll() -> bool:
        return len((await own_queue.workers()).own) == 2

    await surroundings.migrate()
    async with AsyncExitStack() as other_release:
        client = await other_release.enter_async_context(polling(own_queue, temporal.address, OLDER_RELEASE))
        with capture_logs() as logs:
            async with running_worker(surroundings, own_queue) as accepted:
                response = await accepted.responds("/readyz", 200, '"status":"ok"')
                assert response.json()["checks"]["task-queue"] == "ok"
                await wait_until(both_releases_poll, timeout=PATIENCE)
                await other_release.aclose()
                health_id = f"health-{uuid4()}"
                healthy = await client.execute_workflow(
                    "healthCheckWorkflow", id=health_id, task_queue=own_queue.name
                )
                assert healthy["status"] == "healthy"
        assert not [line for line in logs if "another service" in line.get("reason", "")]


async def first_identity(client: Client, workflow_id: str) -> set[str]:
    """Return the workers that took tasks of a workflow."""
    return {
        event.workflow_task_started_event_attributes.identity
        async for event in client.get_workflow_handle(workflow_id).fetch_history_events()
        if event.HasField("workflow_task_started_event_attributes")
    }


async def test_polling_begins_by_itself_once_the_queue_is_handed_over(
    temporal: EmbeddedTemporal, queue: TaskQueue, clock: Clock
) -> None:
    reasons: list[str] = []
    async with polling(queue, temporal.address):
        with pytest.raises(ForeignWorkersError):
            await check_task_queue(queue, allow_foreign=False)
    check = partial(check_task_queue, queue, allow_foreign=False)
    waiting = asyncio.create_task(retry_until_ready(check, reasons.append))

    async def has_refused() -> bool:
        return bool(reasons)

    await wait_until(has_refused, timeout=PATIENCE)
    assert FOREIGN in reasons[0]
    clock.ahead = RECENT
    async with asyncio.timeout(PATIENCE):
        await waiting


async def test_a_foreign_worker_that_joins_later_is_logged_and_measured_until_it_leaves(
    temporal: EmbeddedTemporal, queue: TaskQueue, clock: Clock
) -> None:
    async def has_come() -> bool:
        return len(logs) == 1

    async def has_left() -> bool:
        return len(logs) == 2

    with capture_logs() as logs:
        async with polling(queue, temporal.address, OLDER_RELEASE):
            watching = asyncio.create_task(watch_task_queue(queue))
            try:
                async with polling(queue, temporal.address) as theirs:
                    await wait_until(has_come, timeout=PATIENCE)
                    assert (shown("own"), shown("foreign")) == (1, 1)
                    job = await theirs.start_workflow(THEIR_WORKFLOW, id=f"job-{uuid4()}", task_queue=queue.name)
                    await job.terminate()
                assert [line["event"] for line in logs] == ["foreign workers poll our task queue"]
                assert (logs[0]["log_level"], FOREIGN in logs[0]["reason"]) == ("warning", True)
                clock.ahead = RECENT
                await wait_until(has_left, timeout=PATIENCE)
                assert shown("foreign") == 0
            finally:
                watching.cancel()
    assert [line["event"] for line in logs][1:] == ["no foreign worker polls our task queue any more"]
