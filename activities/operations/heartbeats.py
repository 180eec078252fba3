"""Heartbeats of an activity that does one long thing."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from temporalio import activity

ResultT = TypeVar("ResultT")

log = structlog.get_logger(__name__)


async def with_heartbeats(
    work: Coroutine[Any, Any, ResultT], *, interval: float, details: Callable[[], Any]
) -> ResultT:
    """Do the work in a task of its own, and send a heartbeat with the latest details every `interval` seconds.

    Here the activity itself beats and the work runs beside it: whatever ends the beating, be it that Temporal or the
    worker cancels the activity or that a heartbeat can't be sent, cancels the work, and is raised once that has
    stopped. The work's own error is raised as it is.
    """
    task = asyncio.create_task(work)
    try:
        while not task.done():
            activity.heartbeat(details())
            await asyncio.wait({task}, timeout=interval)
    except BaseException:
        await _stop(task)
        raise
    return task.result()


async def _stop(task: asyncio.Task[Any]) -> None:
    task.cancel()
    while not task.done():
        # The waiting can be cancelled again; the work must not outlive the activity.
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()):
        log.warning("work that was cancelled ended with an error", error=type(error).__name__)
