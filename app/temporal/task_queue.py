"""The task queue: the workers that poll it, and open workflows on it that our workers can't continue."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import PollerInfo
from temporalio.api.taskqueue.v1 import TaskQueue as QueueName
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, ListTaskQueuePartitionsRequest
from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError, RPCStatusCode

from app.settings import Settings
from app.telemetry.metrics.task_queue import hide_workers, show_workers
from app.temporal.client import OWN_IDENTITY, rpc_timeout
from app.temporal.errors import TemporalUnavailableError, reason_of
from workflows.operations.kinds import KINDS
from workflows.operations.maintenance import MAINTENANCE_WORKFLOW
from workflows.tenants.steps import HEALTH_CHECK_WORKFLOW, WIRE_DELETION_WORKFLOW

# An idle poller asks again after one minute. Temporal lists one that is gone for five.
RECENT = timedelta(minutes=2)
# Probes need no credential, so they must not cost calls that count against the namespace's limit.
MIN_LOOK_INTERVAL = 5.0
MAX_LISTED_WORKFLOWS = 1000
LISTING_TIMEOUT = 30.0
# A history begins with the start, signals that came with it, and the first workflow task, which may fail.
FIRST_EVENTS = 10
MAX_NAME_LENGTH = 100


@dataclass(frozen=True)
class QueueWorker:
    """A worker that polls, and how long ago it asked for work."""

    identity: str
    asked_ago: timedelta

    @property
    def is_own(self) -> bool:
        """Whether it is one of this service, of whatever release."""
        return self.identity.startswith(OWN_IDENTITY)

    @property
    def shown(self) -> str:
        """The identity and the time, for people."""
        return f"{self.identity} ({max(self.asked_ago.total_seconds(), 0):.0f} s ago)"


@dataclass(frozen=True)
class QueueWorkers:
    """The workers that poll a task queue, those that asked last first."""

    own: tuple[QueueWorker, ...]
    foreign: tuple[QueueWorker, ...]


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _shown(name: str) -> str:
    """Return a stranger's text, shortened, and without characters that could control a terminal."""
    return "".join(character if character.isprintable() else "?" for character in name[:MAX_NAME_LENGTH])


def served_types() -> frozenset[str]:
    """Return the types of workflows that our workers run."""
    of_operations = {name for kind in KINDS.values() for name in kind.workflow_types}
    return frozenset({*of_operations, WIRE_DELETION_WORKFLOW, HEALTH_CHECK_WORKFLOW, MAINTENANCE_WORKFLOW})


class TaskQueue:
    """The task queue of the settings. Every call is limited in time, and may raise `TemporalUnavailableError`."""

    def __init__(self, client: Client, settings: Settings, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self.name = settings.temporal_task_queue
        self._client = client
        self._timeout = rpc_timeout(settings)
        self._clock = clock
        self._lock = asyncio.Lock()
        self._found: QueueWorkers | None = None
        self._looked_at = 0.0

    async def workers(self) -> QueueWorkers:
        """Return the workers that polled recently, as they were at most `MIN_LOOK_INTERVAL` seconds ago."""
        async with self._lock:
            if self._found is None or time.monotonic() - self._looked_at >= MIN_LOOK_INTERVAL:
                self._found = None
                try:
                    self._found = await self._look()
                except BaseException:
                    # A probe that is out of time cancels the look.
                    hide_workers()
                    raise
                self._looked_at = time.monotonic()
            show_workers(own=len(self._found.own), foreign=len(self._found.foreign))
            return self._found

    async def _look(self) -> QueueWorkers:
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                pollers = await self._pollers()
        except (RPCError, RuntimeError, TimeoutError) as error:
            problem = f"the workers of task queue {self.name} can't be listed: {reason_of(error)}"
            raise TemporalUnavailableError(problem) from None
        asked_at: dict[str, datetime] = {}
        for poller in pollers:
            identity, last = _shown(poller.identity), poller.last_access_time.ToDatetime(tzinfo=UTC)
            asked_at[identity] = max(last, asked_at.get(identity, last))
        now = self._clock()
        workers = [QueueWorker(identity, now - last) for identity, last in asked_at.items() if now - last < RECENT]
        workers.sort(key=lambda worker: worker.asked_ago)
        own = tuple(worker for worker in workers if worker.is_own)
        return QueueWorkers(own, tuple(worker for worker in workers if not worker.is_own))

    async def _pollers(self) -> list[PollerInfo]:
        """Return the pollers of every partition, because a description covers one of them."""
        service, namespace, queue = self._client.workflow_service, self._client.namespace, QueueName(name=self.name)
        request = ListTaskQueuePartitionsRequest(namespace=namespace, task_queue=queue)
        partitions = await service.list_task_queue_partitions(request, timeout=self._timeout)
        requests = [
            DescribeTaskQueueRequest(
                namespace=namespace, task_queue=QueueName(name=partition.key), task_queue_type=of_type
            )
            for of_type, listed in (
                (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, partitions.workflow_task_queue_partitions),
                (TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY, partitions.activity_task_queue_partitions),
            )
            for partition in listed
        ]
        calls = (service.describe_task_queue(request, timeout=self._timeout) for request in requests)
        return [poller for description in await asyncio.gather(*calls) for poller in description.pollers]

    async def stranded(self) -> Mapping[str, int]:
        """Count the open workflows that our workers can't continue, by type, in the first `MAX_LISTED_WORKFLOWS`.

        They are of another type, or another service began them, so that our code can't replay their history.
        """
        types = ", ".join(f"'{name}'" for name in sorted(served_types()))
        found: Counter[str] = Counter()
        try:
            async with asyncio.timeout(LISTING_TIMEOUT):
                async for workflow in self._open_workflows(f"WorkflowType NOT IN ({types})"):
                    found[_shown(workflow.workflow_type)] += 1
                async for workflow in self._open_workflows(f"WorkflowType IN ({types})"):
                    if await self._is_begun_by_foreign_worker(workflow):
                        found[f"{workflow.workflow_type} begun by another service"] += 1
        except (RPCError, RuntimeError, TimeoutError) as error:
            raise TemporalUnavailableError(reason_of(error)) from None
        return found

    def _open_workflows(self, condition: str) -> AsyncIterator[WorkflowExecution]:
        query = f"TaskQueue = '{self.name}' AND ExecutionStatus = 'Running' AND {condition}"
        return self._client.list_workflows(query, limit=MAX_LISTED_WORKFLOWS, rpc_timeout=self._timeout)

    async def _is_begun_by_foreign_worker(self, workflow: WorkflowExecution) -> bool:
        """Return whether a foreign worker completed a task first. Failed tasks leave nothing to replay."""
        handle = self._client.get_workflow_handle(workflow.id, run_id=workflow.run_id)
        try:
            async for event in handle.fetch_history_events(page_size=FIRST_EVENTS, rpc_timeout=self._timeout):
                if event.HasField("workflow_task_completed_event_attributes"):
                    identity = event.workflow_task_completed_event_attributes.identity
                    return not identity.startswith(OWN_IDENTITY)
        except RPCError as error:
            # It was deleted after it was listed.
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        return False
