"""What Temporal says of the workers of a task queue, on a real server."""

import re
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio import workflow

from app.embedded.processes.ports import free_port
from app.embedded.temporal import EmbeddedTemporal
from app.settings import Settings
from app.temporal.client import connect, own_identity
from app.temporal.errors import TemporalUnavailableError
from app.temporal.task_queue import RECENT, QueueWorkers, TaskQueue, served_types
from app.worker.factory import WORKFLOWS
from tests.app.worker.test_worker import settings_for
from tests.support.foreign_worker import FOREIGN, THEIR_WORKFLOW, foreign_worker
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

PATIENCE = 60.0
OLDER_RELEASE = "alga-tenants/0.1.9/7@older-pod"


class PartitionedTemporal(EmbeddedTemporal):
    """A server that divides task queues, as servers other than the one for development do."""

    def _options(self) -> list[str | Path]:
        partitions = (f"matching.numTaskqueue{access}Partitions=4" for access in ("Read", "Write"))
        return [*super()._options(), *(part for value in partitions for part in ("--dynamic-config-value", value))]


@pytest.fixture(scope="module")
def partitioned_temporal(server_folder: Path) -> Iterator[EmbeddedTemporal]:
    with PartitionedTemporal(server_folder / "partitioned-temporal", ui=False, durable=False) as server:
        yield server


@pytest.fixture
def settings(partitioned_temporal: EmbeddedTemporal) -> Settings:
    return settings_for(
        "postgresql://nobody@localhost/nowhere",
        temporal_address=partitioned_temporal.address,
        temporal_task_queue=f"looked-at-{uuid4()}",
    )


async def look(settings: Settings, *, later: timedelta = timedelta()) -> QueueWorkers:
    """Return the workers as they are seen after some time without any sign of them."""
    queue = TaskQueue(await connect(settings), settings, clock=lambda: datetime.now(UTC) + later)
    return await queue.workers()


async def wait_for_workers(settings: Settings, condition: Callable[[QueueWorkers], bool]) -> QueueWorkers:
    async def holds() -> bool:
        return condition(await look(settings))

    await wait_until(holds, timeout=PATIENCE)
    return await look(settings)


async def test_our_processes_have_an_identity_with_their_version(settings: Settings) -> None:
    assert re.fullmatch(r"alga-tenants/\d+\.\d+\.\d+/\d+@.+", own_identity())
    assert (await connect(settings)).identity == own_identity()


async def test_workers_of_any_release_of_ours_are_ours_and_all_others_foreign(settings: Settings) -> None:
    assert await look(settings) == QueueWorkers((), ())
    address, queue = settings.temporal_address, settings.temporal_task_queue
    async with (
        foreign_worker(address, queue),
        foreign_worker(address, queue, identity="versioned", version=f"v-{uuid4()}"),
        foreign_worker(address, queue, identity=OLDER_RELEASE),
        foreign_worker(address, queue, identity=own_identity()),
    ):
        found = await wait_for_workers(settings, lambda found: len(found.own) == len(found.foreign) == 2)
    assert {worker.identity for worker in found.own} == {OLDER_RELEASE, own_identity()}
    assert {worker.identity for worker in found.foreign} == {FOREIGN, "versioned"}
    # Temporal lists them for minutes after they are gone.
    assert (await look(settings)).foreign
    assert await look(settings, later=RECENT) == QueueWorkers((), ())


async def test_a_worker_is_found_in_whatever_partition_it_polls(settings: Settings) -> None:
    identities = {f"alga-tenants/0.1.{number}/7@pod" for number in range(4)}
    async with AsyncExitStack() as stack:
        for identity in (*sorted(identities), FOREIGN):
            worker = foreign_worker(settings.temporal_address, settings.temporal_task_queue, identity=identity)
            await stack.enter_async_context(worker)
        found = await wait_for_workers(settings, lambda found: len(found.own) == 4 and bool(found.foreign))
    assert {worker.identity for worker in found.own} == identities
    assert [worker.identity for worker in found.foreign] == [FOREIGN]


async def test_an_identity_can_not_control_a_terminal(settings: Settings) -> None:
    identity = "\x1b[2J" + "long " * 100
    async with foreign_worker(settings.temporal_address, settings.temporal_task_queue, identity=identity):
        found = await wait_for_workers(settings, lambda found: bool(found.foreign))
    assert found.foreign[0].identity == ("?[2J" + "long " * 100)[:100]


async def test_open_workflows_that_our_workers_can_not_continue_are_counted(settings: Settings) -> None:
    client = await connect(settings)
    queue = TaskQueue(client, settings)
    async with foreign_worker(settings.temporal_address, settings.temporal_task_queue) as theirs:
        # Ours may continue this one, because the foreign worker can only fail its task.
        refused = await client.start_workflow(
            "algadeskTenantCreationWorkflow", id=f"appliance-{uuid4()}", task_queue=queue.name
        )
        for workflow_type in (THEIR_WORKFLOW, THEIR_WORKFLOW, "tenantCreationWorkflow"):
            await theirs.start_workflow(workflow_type, id=f"theirs-{uuid4()}", task_queue=queue.name)

        async def are_begun() -> bool:
            events = (await refused.fetch_history()).events
            has_failed = any(event.HasField("workflow_task_failed_event_attributes") for event in events)
            return has_failed and sum((await queue.stranded()).values()) == 3

        await wait_until(are_begun, timeout=PATIENCE)
    # No worker has begun this one, so ours may.
    await client.start_workflow("tenantCreationWorkflow", id=f"appliance-{uuid4()}", task_queue=queue.name)
    assert await queue.stranded() == {THEIR_WORKFLOW: 2, "tenantCreationWorkflow begun by another service": 1}


def test_the_served_types_are_those_of_the_worker() -> None:
    assert served_types() == {workflow._Definition.must_from_class(each).name for each in WORKFLOWS}


async def test_without_temporal_there_is_an_error_that_names_the_queue() -> None:
    settings = settings_for(
        "postgresql://nobody@localhost/nowhere",
        temporal_address=f"127.0.0.1:{free_port()}",
        temporal_rpc_timeout=0.5,
    )
    queue = TaskQueue(await connect(settings, lazy=True), settings)
    with pytest.raises(TemporalUnavailableError, match="the workers of task queue tenant-workflows can't be listed"):
        await queue.workers()
