"""The worker process: polls Temporal for workflows and activities once the database is as it needs it."""

import asyncio
import signal
from contextlib import AsyncExitStack, suppress

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.worker import Worker

from activities.alga.schema_check import check_schema
from app.audit_trail import audit_trail
from app.settings import Settings, sqlalchemy_url
from app.temporal.client import connect
from app.temporal.errors import TemporalUnavailableError
from app.temporal.operations import OperationsPort
from app.worker.factory import admin_engine, create_worker, rollback_engine
from app.worker.probes import ProbeServer, WorkerHealth
from app.worker.reconciler import Reconciler
from migrations.upgrade import pending

log = structlog.get_logger(__name__)


class UnfitDatabaseError(Exception):
    """The database lacks what the activities need; the message lists it."""


async def run_worker(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then let running work finish within the grace period.

    Raises:
        UnfitDatabaseError: the schema check failed; nothing was polled.
        TemporalUnavailableError: Temporal can't be reached.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        health = WorkerHealth()
        await stack.enter_async_context(ProbeServer(settings, health))
        engine = admin_engine(settings)
        stack.push_async_callback(engine.dispose)
        await check_database(settings, engine)
        client = await _connect(settings)
        engine_for_rollbacks = rollback_engine(settings)
        stack.push_async_callback(engine_for_rollbacks.dispose)
        worker = create_worker(settings, client, engine, engine_for_rollbacks)
        operations = OperationsPort(client, settings)
        health.watch(operations, engine)
        log.info("worker started", task_queue=settings.temporal_task_queue, temporal=settings.temporal_address)
        reconciler = Reconciler(engine, operations, audit_trail(settings))
        reconciling = asyncio.create_task(reconciler.run(settings.reconcile_interval))
        stack.push_async_callback(_stopped, reconciling)
        await _poll(worker, stop, health)
    log.info("worker stopped")


async def _connect(settings: Settings) -> Client:
    try:
        return await connect(settings)
    except RuntimeError:
        raise TemporalUnavailableError(f"Temporal at {settings.temporal_address} can't be reached") from None


async def check_database(settings: Settings, engine: AsyncEngine) -> None:
    """Raise `UnfitDatabaseError` unless both schemas are as the activities need them."""
    if await pending(sqlalchemy_url(settings.admin_database_url)):
        raise UnfitDatabaseError("schema alga_tenants is not up to date; run `alga-tenants migrate`")
    async with engine.connect() as connection:
        findings = await check_schema(connection)
    for finding in findings:
        if finding.level == "warning":
            log.warning("schema check", table=finding.table, column=finding.column, problem=finding.problem)
    errors = [f"{item.table}: {item.problem}; {item.remedy}" for item in findings if item.level == "error"]
    if errors:
        raise UnfitDatabaseError("the database is not as the activities need it:\n" + "\n".join(errors))


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _poll(worker: Worker, stop: asyncio.Event, health: WorkerHealth) -> None:
    running = asyncio.create_task(worker.run())
    stopping = asyncio.create_task(stop.wait())
    health.polling = True
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    health.polling = False
    stopping.cancel()
    if not running.done():
        log.info("draining")
        await worker.shutdown()
    await running
