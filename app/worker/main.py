"""The worker process: polls Temporal for workflows and activities once the database is ready."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.alga.blueprints.blueprint import load_blueprints
from activities.mail.rendering import load_templates
from app.background import cancel_and_wait
from app.database import delivery_engine, long_engine, worker_engine
from app.settings import Settings
from app.telemetry.metrics.pools import watch_pool
from app.telemetry.metrics.temporal_core import count_polls, drain_regularly
from app.temporal.errors import reason_of
from app.temporal.operations import TemporalOperations
from app.temporal.task_queue import TaskQueue
from app.worker.deliveries import DeliveryLoop
from app.worker.factory import create_worker
from app.worker.foreign_workers import check_task_queue, watch_task_queue
from app.worker.maintenance import schedule_maintenance
from app.worker.polling import PollWatch
from app.worker.probes import WorkerHealth, serve_probes
from app.worker.running_activities import RunningActivities
from app.worker.startup import check_database, connect_to_namespace, retry_until_ready

Result = TypeVar("Result")

SCHEDULE_RETRY_SECONDS = 10.0

log = structlog.get_logger(__name__)


class PollingEndedError(Exception):
    """The worker stopped polling without a request to stop."""


async def run_worker(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then let running work finish within the grace period.

    Waits for Temporal, for a database that the activities can use, and until no foreign worker polls the task queue;
    its probes report what it waits for. Raises `BlueprintError` or `MailTemplateError` for an invalid file, and
    `PollingEndedError` if the worker fails.
    """
    # Before it waits for servers, because an invalid file stays invalid.
    load_blueprints(settings.blueprints_dir)
    load_templates(settings.mail_templates_dir)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        engine = worker_engine(settings)
        stack.push_async_callback(engine.dispose)
        health = WorkerHealth(engine)
        watch_pool("worker", engine)
        await stack.enter_async_context(serve_probes(settings, health, engine))
        stack.push_async_callback(cancel_and_wait, asyncio.create_task(drain_regularly()))
        prepared = await _unless(stop, _prepare(settings, engine, health))
        if prepared is not None:
            client, queue = prepared
            patient = long_engine(settings)
            stack.push_async_callback(patient.dispose)
            running = RunningActivities()
            worker = create_worker(
                settings, client, engine, long=patient, on_fatal_error=health.poller_failed, running=running
            )
            health.set_queue(queue)
            sending = delivery_engine(settings)
            stack.push_async_callback(sending.dispose)
            deliveries = DeliveryLoop(sending, settings, health.set_webhook_problem)
            stack.push_async_callback(cancel_and_wait, asyncio.create_task(watch_task_queue(queue)))
            stack.push_async_callback(cancel_and_wait, asyncio.create_task(_schedule(client, settings)))
            stack.push_async_callback(_end, asyncio.create_task(deliveries.run(stop)), stop)
            log.info("worker started", task_queue=settings.temporal_task_queue, temporal=settings.temporal_address)
            is_full = partial(running.are_full, settings.max_concurrent_activities)
            health.watch_polls(PollWatch(count_polls, is_full, health.check_temporal).check)
            await _poll(worker, stop, health)
    log.info("worker stopped")


async def _prepare(settings: Settings, engine: AsyncEngine, health: WorkerHealth) -> tuple[Client, TaskQueue]:
    await retry_until_ready(lambda: check_database(settings, engine), health.set_schema_problem)
    health.set_schema_problem(None)
    client = await retry_until_ready(lambda: connect_to_namespace(settings), health.set_temporal_problem)
    health.set_temporal(TemporalOperations(client, settings))
    queue = TaskQueue(client, settings)
    await retry_until_ready(
        lambda: check_task_queue(queue, allow_foreign=settings.allow_foreign_pollers), health.set_queue_problem
    )
    return client, queue


async def _schedule(client: Client, settings: Settings) -> None:
    """Create the schedule of maintenance, and retry until Temporal accepts it."""
    while True:
        try:
            return await schedule_maintenance(client, settings)
        except (RPCError, RuntimeError) as error:
            log.warning("maintenance is not scheduled yet", reason=reason_of(error))
            await asyncio.sleep(SCHEDULE_RETRY_SECONDS)


async def _end(deliveries: asyncio.Task[None], stop: asyncio.Event) -> None:
    """Wait until the loop has ended, which `stop` has asked for already, unless polling has failed."""
    stop.set()
    await deliveries


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result | None:
    """Return the result of the work, or cancel it and return None if `stop` is set first."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else None
    finally:
        await cancel_and_wait(stopping)
        if not working.done():
            await cancel_and_wait(working)


async def _poll(worker: Worker, stop: asyncio.Event, health: WorkerHealth) -> None:
    running = asyncio.create_task(worker.run())
    stopping = asyncio.create_task(stop.wait())
    health.is_polling = True
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if running.done():
        try:
            await running
        except RuntimeError as error:
            raise PollingEndedError(f"polling failed: {error.__cause__ or error}") from error
        raise PollingEndedError("polling ended without a request to stop")
    log.info("draining")
    health.drain()
    await worker.shutdown()
    await running
