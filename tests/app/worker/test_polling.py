"""A worker is not live if it has stopped polling: with a real worker, and a clock that the tests move."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.runtime import MetricBuffer, MetricBufferDurationFormat, Runtime, TelemetryConfig
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from app.embedded.temporal import EmbeddedTemporal
from app.probes import CheckFailedError
from app.telemetry.metrics.temporal_core import CoreMetrics
from app.worker import polling
from app.worker.polling import MAX_COUNTED_GAP, MAX_SILENCE, PollWatch
from app.worker.running_activities import RunningActivities
from tests.support.servers.proxy import LOOPBACK, Proxy
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

ROUNDS = int(MAX_SILENCE / MAX_COUNTED_GAP) + 1
WORKFLOWS, ACTIVITIES = "PollWorkflowTaskQueue", "PollActivityTaskQueue"
AN_HOUR = timedelta(hours=1)
PATIENCE = 120.0

blocked = threading.Event()
hanging = asyncio.Event()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@activity.defn
async def work() -> None:
    """Do nothing."""


@activity.defn
async def hang() -> None:
    """Run until the test ends, whatever Temporal asks for."""
    while not hanging.is_set():
        try:
            await hanging.wait()
        except asyncio.CancelledError:
            continue


@workflow.defn
class Works:
    @workflow.run
    async def run(self, name: str) -> None:
        await workflow.execute_activity(name, start_to_close_timeout=AN_HOUR, heartbeat_timeout=timedelta(minutes=20))


@workflow.defn
class Deadlocks:
    """Blocks its thread, like a bug in a release."""

    @workflow.run
    async def run(self) -> None:
        blocked.wait()


class Watched:
    """A worker with one slot for activities and two for workflow tasks, and what watches its polls."""

    def __init__(self, buffer: MetricBuffer, client: Client) -> None:
        self.client = client
        self.queue = f"polling-{uuid4()}"
        self.clock = Clock()
        self._buffer = buffer
        self._registry = CollectorRegistry()
        self._core = CoreMetrics(self._registry)
        self.running = RunningActivities(clock=self.clock)
        self.watch = PollWatch(self.count, partial(self.running.are_full, 1), self.check_temporal, clock=self.clock)

    def count(self, operation: str) -> float:
        for update in self._buffer.retrieve_updates():
            self._core.apply(update)
        return self._core.total("temporal_long_request", {"operation": operation})

    async def check_temporal(self) -> None:
        try:
            await self.client.service_client.check_health(timeout=timedelta(seconds=1))
        except (RPCError, RuntimeError) as error:
            raise CheckFailedError(str(error)) from None

    def used_workflow_slots(self) -> float | None:
        return self._registry.get_sample_value("temporal_worker_task_slots_used", {"worker_type": "WorkflowWorker"})

    async def begin(self, run: object, *args: str) -> None:
        await self.client.start_workflow(run, args=args, id=f"polling-{uuid4()}", task_queue=self.queue)  # type: ignore[call-overload] # of any kind

    async def works(self) -> None:
        """Let a workflow and an activity run, so that both are polled for again."""
        await self.client.execute_workflow(Works.run, "work", id=f"polling-{uuid4()}", task_queue=self.queue)

    async def polls_again(self, *operations: str) -> None:
        """Wait until another poll has begun of each of these operations."""
        before = {operation: self.count(operation) for operation in operations}

        async def polled() -> bool:
            return all(self.count(operation) > number for operation, number in before.items())

        await wait_until(polled, timeout=PATIENCE)

    async def is_full(self) -> bool:
        return self.running.are_full(1)

    async def check_later(self) -> None:
        self.clock.now += MAX_COUNTED_GAP
        await self.watch.check()


@pytest.fixture(autouse=True)
def _not_blocked() -> Iterator[None]:
    global hanging  # noqa: PLW0603 - an event belongs to the loop of its test
    hanging = asyncio.Event()
    blocked.clear()
    yield
    blocked.set()


@asynccontextmanager
async def watched(address: str) -> AsyncIterator[Watched]:
    buffer = MetricBuffer(50_000, duration_format=MetricBufferDurationFormat.SECONDS)
    client = await Client.connect(address, runtime=Runtime(telemetry=TelemetryConfig(metrics=buffer)))
    made = Watched(buffer, client)
    worker = Worker(
        client,
        task_queue=made.queue,
        workflows=[Works, Deadlocks],
        activities=[work, hang],
        max_concurrent_activities=1,
        max_concurrent_workflow_tasks=2,
        # A worker that caches workflows polls a queue of its own, too, for a minute with one of the two slots.
        max_cached_workflows=0,
        workflow_runner=UnsandboxedWorkflowRunner(),
        interceptors=[made.running],
    )
    async with worker:
        try:
            yield made
        finally:
            hanging.set()
            blocked.set()


async def test_an_activity_that_is_given_up_but_keeps_the_last_slot_is_noticed(temporal: EmbeddedTemporal) -> None:
    async with watched(temporal.address) as worker:
        for _ in range(ROUNDS):
            await worker.works()
            await worker.check_later()
        await worker.begin(Works.run, "hang")
        await wait_until(worker.is_full, timeout=PATIENCE)
        # As long as Temporal waits for it, it is work and nothing to worry about.
        for _ in range(ROUNDS):
            await _poll_for_workflows(worker)
            await worker.check_later()
        worker.clock.now += timedelta(minutes=20).total_seconds()
        for _ in range(ROUNDS - 1):
            await _poll_for_workflows(worker)
            await worker.check_later()
        await _poll_for_workflows(worker)
        with pytest.raises(CheckFailedError, match=r"^no poll for activities for 330 s$"):
            await worker.check_later()
        hanging.set()
        await worker.polls_again(ACTIVITIES)
        await worker.check_later()


async def test_deadlocked_workflows_that_keep_all_slots_are_noticed(temporal: EmbeddedTemporal) -> None:
    async with watched(temporal.address) as worker:
        await worker.works()
        await worker.check_later()
        for _ in range(4):
            await worker.begin(Deadlocks.run)
        seen: list[tuple[float, float | None]] = []

        async def polls_no_more() -> bool:
            seen.append((worker.count(WORKFLOWS), worker.used_workflow_slots()))
            # Five seconds, in which a worker that is well would have polled for the workflows that wait.
            return seen[-1][1] == 2 and seen[-50:] == [seen[-1]] * 50

        await wait_until(polls_no_more, timeout=PATIENCE)
        await worker.watch.check()
        for _ in range(ROUNDS - 1):
            await worker.check_later()
        with pytest.raises(CheckFailedError, match="no poll for workflow tasks for 330 s"):
            await worker.check_later()


async def test_an_outage_of_temporal_is_no_silence(
    temporal: EmbeddedTemporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "MAX_SILENCE", MAX_COUNTED_GAP * 1.5)
    async with (
        Proxy(int(temporal.address.rpartition(":")[2])) as proxy,
        watched(f"{LOOPBACK}:{proxy.port}") as worker,
    ):
        await worker.works()
        proxy.refuse()
        for _ in range(3):
            await worker.polls_again(WORKFLOWS, ACTIVITIES)
            await worker.check_later()
        await proxy.accept()
        await worker.works()
        await worker.check_later()


class Counted:
    """A watch of numbers that the test sets."""

    def __init__(self) -> None:
        self.polls = {WORKFLOWS: 1.0, ACTIVITIES: 1.0}
        self.problem: Exception | None = None
        self._clock = Clock()
        self._watch = PollWatch(
            lambda operation: self.polls[operation], lambda: False, self._check_temporal, clock=self._clock
        )

    async def check_after(self, seconds: float, *, times: int = 1) -> None:
        for _ in range(times):
            self._clock.now += seconds
            await self._watch.check()

    async def _check_temporal(self) -> None:
        if self.problem is not None:
            raise self.problem


async def test_a_process_that_was_stopped_is_not_silent() -> None:
    counted = Counted()
    await counted.check_after(10 * MAX_SILENCE, times=3)


async def test_silence_adds_up_until_the_next_poll() -> None:
    counted = Counted()
    await counted.check_after(MAX_COUNTED_GAP, times=ROUNDS)
    counted.polls[ACTIVITIES] += 1
    with pytest.raises(CheckFailedError, match=r"^no poll for workflow tasks for 330 s$"):
        await counted.check_after(MAX_COUNTED_GAP)
    counted.polls[WORKFLOWS] += 1
    await counted.check_after(MAX_COUNTED_GAP)


@pytest.mark.parametrize("problem", [CheckFailedError("does not respond"), TimeoutError()])
async def test_silence_does_not_count_while_temporal_cannot_be_reached(problem: Exception) -> None:
    counted = Counted()
    counted.problem = problem
    await counted.check_after(MAX_COUNTED_GAP, times=3 * ROUNDS - 1)
    # It has begun again less than the limit ago.
    counted.problem = None
    await counted.check_after(MAX_COUNTED_GAP)


async def _poll_for_workflows(worker: Watched) -> None:
    """Let a workflow run that needs no activity, so that only workflow tasks are polled for again."""
    before = worker.count(WORKFLOWS)
    handle = await worker.client.start_workflow(Works.run, "work", id=f"polling-{uuid4()}", task_queue=worker.queue)

    async def polled() -> bool:
        return worker.count(WORKFLOWS) > before

    await wait_until(polled, timeout=PATIENCE)
    await handle.terminate()
