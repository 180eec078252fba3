"""Keeps a worker from polling a task queue that workers of other services poll.

Temporal gives a task to any worker of its queue, so each side would get workflows that only the other knows.
"""

import asyncio

import structlog

from app.temporal.errors import TemporalUnavailableError
from app.temporal.task_queue import QueueWorkers, TaskQueue
from app.worker.startup import ForeignWorkersError

WATCH_INTERVAL = 15.0
MAX_NAMED_WORKERS = 5

log = structlog.get_logger(__name__)


async def check_task_queue(queue: TaskQueue, *, allow_foreign: bool) -> None:
    """Raise `ForeignWorkersError` if foreign workers poll the queue, unless that is allowed."""
    if allow_foreign:
        log.warning(
            "polling even beside foreign workers, because ALLOW_FOREIGN_POLLERS is true", task_queue=queue.name
        )
        return
    found = await queue.workers()
    if found.foreign:
        raise ForeignWorkersError(
            f"{foreign_workers(queue, found)}; set TEMPORAL_TASK_QUEUE to a queue of our own, or stop those workers "
            "to hand this one over: polling begins by itself within two minutes"
        )


async def watch_task_queue(queue: TaskQueue) -> None:
    """Log, until cancelled, when foreign workers begin or stop to poll the queue."""
    known: frozenset[str] = frozenset()
    while True:
        try:
            found = await queue.workers()
        except TemporalUnavailableError:
            pass  # The probe and the metric of Temporal report it.
        else:
            foreign = frozenset(worker.identity for worker in found.foreign)
            if foreign - known:
                log.warning("foreign workers poll our task queue", reason=foreign_workers(queue, found))
            elif known and not foreign:
                log.info("no foreign worker polls our task queue any more", task_queue=queue.name)
            known = foreign
        await asyncio.sleep(WATCH_INTERVAL)


def foreign_workers(queue: TaskQueue, found: QueueWorkers) -> str:
    """Return which foreign workers poll the queue."""
    named = ", ".join(worker.shown for worker in found.foreign[:MAX_NAMED_WORKERS])
    more = ", …" if len(found.foreign) > MAX_NAMED_WORKERS else ""
    return f"workers of another service poll task queue {queue.name}: {named}{more}"
