"""The worker process: polls Temporal for workflows and activities once the database is as it needs it."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.worker import Worker

from activities.alga.blueprints import load_blueprints
from activities.alga.schema_check import check_schema
from activities.database import create_engine
from activities.rollback import RollbackActivities
from activities.tenant_creation import TenantCreationActivities
from app.settings import Settings, sqlalchemy_url
from app.temporal.client import connect
from app.worker.probes import ProbeServer, WorkerHealth
from migrations.upgrade import pending
from workflows.health_check import HealthCheckWorkflow
from workflows.tenant_creation import AlgadeskTenantCreationWorkflow, TenantCreationWorkflow

WORKFLOWS: Sequence[type] = (TenantCreationWorkflow, AlgadeskTenantCreationWorkflow, HealthCheckWorkflow)

log = structlog.get_logger(__name__)


class UnfitDatabaseError(Exception):
    """The database lacks what the activities need; the message lists it."""


def admin_engine(settings: Settings) -> AsyncEngine:
    """The engine of the activities: a connection for each that may run at once."""
    return create_engine(
        sqlalchemy_url(settings.admin_database_url),
        application_name="alga-tenants-worker",
        pool_size=max(settings.database_pool_size, settings.max_concurrent_activities),
        statement_timeout=settings.statement_timeout,
        pgbouncer=settings.database_pgbouncer,
    )


def create_worker(settings: Settings, client: Client, engine: AsyncEngine) -> Worker:
    """A worker with all workflows and activities; reads the blueprints, and raises `BlueprintError` for a bad one."""
    creation = TenantCreationActivities(engine, load_blueprints(settings.blueprints_dir), settings.password_hasher)
    rollback = RollbackActivities(engine)
    return Worker(
        client,
        task_queue=settings.temporal_task_queue,
        workflows=WORKFLOWS,
        activities=_activities(creation, rollback),
        max_concurrent_activities=settings.max_concurrent_activities,
        max_concurrent_local_activities=settings.max_concurrent_activities,
        max_concurrent_workflow_tasks=settings.max_concurrent_workflows,
        # With a single slot the sticky queue and the shared one starve each other: queries fail and tasks wait
        # 8 s (measured). Without a cache there is no sticky queue.
        max_cached_workflows=1000 if settings.max_concurrent_workflows > 1 else 0,
        graceful_shutdown_timeout=timedelta(seconds=settings.shutdown_grace_period),
    )


async def run_worker(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then let running work finish within the grace period.

    Raises:
        UnfitDatabaseError: the schema check failed; nothing was polled.
        RuntimeError: Temporal can't be reached.
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
        client = await connect(settings)
        worker = create_worker(settings, client, engine)
        health.watch(client, engine, settings)
        log.info("worker started", task_queue=settings.temporal_task_queue, temporal=settings.temporal_address)
        await _poll(worker, stop, health)
    log.info("worker stopped")


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


def _activities(creation: TenantCreationActivities, rollback: RollbackActivities) -> list[Any]:
    return [
        creation.hash_password,
        creation.validate_tenant_request,
        creation.create_tenant,
        creation.apply_blueprint,
        creation.create_admin_user,
        creation.set_up_initial_data,
        creation.complete_tenant,
        rollback.roll_back_tenant,
    ]
