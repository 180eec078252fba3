"""The schedule of maintenance on a real Temporal server, and what one of its rounds does."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url
from temporalio import activity
from temporalio.client import (
    Client,
    ScheduleActionStartWorkflow,
    ScheduleHandle,
    ScheduleOverlapPolicy,
    WorkflowFailureError,
)
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from activities.alga.development import create_development_tables
from app.database import worker_engine
from app.embedded.temporal import EmbeddedTemporal
from app.settings import Settings
from app.temporal.client import connect
from app.worker.factory import create_worker
from app.worker.maintenance import schedule_maintenance
from migrations.upgrade import upgrade
from tests.app.gateway.rows import record
from tests.support.connections import connected
from tests.support.servers.databases import NewDatabase
from workflows.operations.maintenance import (
    MAINTENANCE_WORKFLOW,
    PRUNE_ACTIVITY,
    RECONCILE_ACTIVITY,
    MaintenanceWorkflow,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database_url(new_database: NewDatabase) -> str:
    url = new_database()
    await upgrade(make_url(url).set(drivername="postgresql+asyncpg"))
    async with connected(url) as connection:
        await create_development_tables(connection)
    return url


@pytest.fixture
def settings(temporal: EmbeddedTemporal) -> Settings:
    return settings_for("postgresql://nobody@localhost/nowhere", temporal)


def settings_for(database_url: str, temporal: EmbeddedTemporal) -> Settings:
    return Settings(
        database_url=SecretStr(database_url),
        admin_database_url=SecretStr(database_url),
        temporal_address=temporal.address,
        temporal_task_queue=f"maintained-{uuid4()}",
        nextauth_secret=SecretStr("test-nextauth-secret"),
    )


@pytest.fixture
async def client(settings: Settings) -> Client:
    return await connect(settings)


@pytest.fixture
async def handle(client: Client, settings: Settings) -> AsyncIterator[ScheduleHandle]:
    handle = client.get_schedule_handle(f"alga-tenants-maintenance-{settings.temporal_task_queue}")
    yield handle
    await handle.delete()


async def interval_of(handle: ScheduleHandle) -> float:
    [interval] = (await handle.describe()).schedule.spec.intervals
    return interval.every.total_seconds()


async def test_a_worker_creates_the_schedule_of_its_queue(
    client: Client, settings: Settings, handle: ScheduleHandle
) -> None:
    await schedule_maintenance(client, settings)
    schedule = (await handle.describe()).schedule
    assert isinstance(schedule.action, ScheduleActionStartWorkflow)
    assert (schedule.action.workflow, schedule.action.task_queue) == (
        MAINTENANCE_WORKFLOW,
        settings.temporal_task_queue,
    )
    assert schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
    assert await interval_of(handle) == settings.maintenance_interval
    assert not schedule.state.paused


async def test_an_existing_schedule_is_updated(client: Client, settings: Settings, handle: ScheduleHandle) -> None:
    await schedule_maintenance(client, settings)
    await schedule_maintenance(client, settings.model_copy(update={"maintenance_interval": 3600.0}))
    assert await interval_of(handle) == 3600


async def test_a_paused_schedule_stays_paused(client: Client, settings: Settings, handle: ScheduleHandle) -> None:
    await schedule_maintenance(client, settings)
    await handle.pause(note="a migration of Alga's")
    await schedule_maintenance(client, settings.model_copy(update={"maintenance_interval": 3600.0}))
    state = (await handle.describe()).schedule.state
    assert (state.paused, state.note) == (True, "a migration of Alga's")
    assert await interval_of(handle) == 3600


async def test_a_round_closes_ended_operations_and_prunes_old_rows(
    temporal: EmbeddedTemporal, database_url: str
) -> None:
    settings = settings_for(database_url, temporal)
    client = await connect(settings)
    database = await asyncpg.connect(database_url)
    engine = worker_engine(settings)
    try:
        forgotten = await record(database, status="running")
        await record(database, status="failed", finished_at=None)
        await database.execute("UPDATE alga_tenants.operations SET updated_at = now() - interval '1 minute'")
        await database.execute(
            "UPDATE alga_tenants.operations SET finished_at = now() - interval '10 years' WHERE status = 'failed'"
        )
        async with create_worker(settings, client, engine):
            await client.execute_workflow(
                MAINTENANCE_WORKFLOW, id=f"maintenance-{uuid4()}", task_queue=settings.temporal_task_queue
            )
        rows = await database.fetch("SELECT workflow_id, status FROM alga_tenants.operations")
        assert [tuple(row) for row in rows] == [(forgotten, "failed")]
    finally:
        await engine.dispose()
        await database.close()


async def test_old_rows_are_pruned_although_reconciling_fails(temporal: EmbeddedTemporal) -> None:
    called = []

    @activity.defn(name=RECONCILE_ACTIVITY)
    async def reconcile() -> int:
        called.append(RECONCILE_ACTIVITY)
        raise ApplicationError("Temporal is unavailable", type="temporal-unavailable")

    @activity.defn(name=PRUNE_ACTIVITY)
    async def prune() -> dict[str, int]:
        called.append(PRUNE_ACTIVITY)
        return {}

    client = await Client.connect(temporal.address)
    queue = f"maintenance-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[MaintenanceWorkflow], activities=[reconcile, prune]):
        with pytest.raises(WorkflowFailureError):
            await client.execute_workflow(MAINTENANCE_WORKFLOW, id=queue, task_queue=queue)
    assert called == [RECONCILE_ACTIVITY, PRUNE_ACTIVITY]
