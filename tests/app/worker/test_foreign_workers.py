"""A worker process beside workers of another service, on a real Temporal server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from structlog.testing import capture_logs
from temporalio.client import Client

from app.embedded.temporal import EmbeddedTemporal
from app.settings import Settings
from app.telemetry.metrics.definitions import REGISTRY
from app.temporal.client import connect
from app.temporal.task_queue import RECENT, TaskQueue
from app.worker.foreign_workers import check_task_queue, watch_task_queue
from app.worker.startup import ForeignWorkersError, retry_until_ready
from tests.app.worker.surroundings import Surroundings
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


async def test_a_worker_refuses_a_foreign_queue_unless_a_setting_allows_it_and_shares_one_with_another_release(
    surroundings: Surroundings, temporal: EmbeddedTemporal, queue: TaskQueue, own_queue: TaskQueue
) -> None:
    async def both_releases_poll() -> bool:
        return len((await own_queue.workers()).own) == 2

    await surroundings.migrate()
    async with polling(queue, temporal.address) as theirs:
        begun = await theirs.start_workflow(MaintenanceJob.run, id=f"job-{uuid4()}", task_queue=queue.name)
        async with polling(own_queue, temporal.address, OLDER_RELEASE):
            refused, accepted = (
                surroundings.start("worker", TEMPORAL_TASK_QUEUE=each.name) for each in (queue, own_queue)
            )
            response = await refused.responds("/readyz", 503, f"poll task queue {queue.name}: {FOREIGN}")
            checks = response.json()["checks"]
            assert "set TEMPORAL_TASK_QUEUE to a queue of our own, or stop those workers" in checks["task-queue"]
            assert (checks["polling"], checks["temporal"]) == ("the worker does not poll", "ok")
            await refused.responds("/startupz", 503)
            await refused.responds("/livez", 200)
            assert '"next_try_in"' in refused.child.log_tail()
            response = await accepted.responds("/readyz", 200, '"status":"ok"')
            assert response.json()["checks"]["task-queue"] == "ok"
            await wait_until(both_releases_poll, timeout=PATIENCE)
            assert "another service" not in accepted.child.log_tail()
        # Both services work at once, and no task went astray.
        jobs = [
            await theirs.start_workflow(MaintenanceJob.run, id=f"job-{uuid4()}", task_queue=queue.name)
            for _ in range(20)
        ]
        for job in (begun, *jobs):
            await job.signal(MaintenanceJob.finish)
        health_id = f"health-{uuid4()}"
        healthy = await theirs.execute_workflow("healthCheckWorkflow", id=health_id, task_queue=own_queue.name)
        assert healthy["status"] == "healthy"
        assert {await job.result() for job in (begun, *jobs)} == {"done by the other service"}
        for job in (begun, *jobs):
            assert await first_identity(theirs, job.id) == {FOREIGN}
        assert await identities(queue) == {FOREIGN}
        # A worker that waits ends on SIGTERM, too.
        assert [await worker.ends() for worker in (refused, accepted)] == [0, 0]
        allowed = surroundings.start("worker", TEMPORAL_TASK_QUEUE=queue.name, ALLOW_FOREIGN_POLLERS="true")
        response = await allowed.responds("/readyz", 200, f"poll task queue {queue.name}: {FOREIGN}")
        assert (response.json()["status"], response.json()["checks"]["polling"]) == ("degraded", "ok")
        assert "because ALLOW_FOREIGN_POLLERS is true" in allowed.child.log_tail()


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
