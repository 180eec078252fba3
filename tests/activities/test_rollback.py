"""What a rollback refuses, and how it stays alive over a statement that takes long."""

from uuid import uuid4

import anyio
import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.rollback import RollbackActivities
from activities.tenant_creation import TenantCreationActivities
from tests.activities.conftest import request, rollback_input, step_input
from tests.support.rows import row_counts
from workflows.messages import TenantCreationInput
from workflows.steps import Step

pytestmark = pytest.mark.anyio


async def begin(creation: TenantCreationActivities) -> TenantCreationInput:
    """A tenant whose creation has got as far as its first rows."""
    given = request(uuid4())
    await creation.validate_tenant_request(step_input(Step.INITIALIZING, given))
    await creation.create_tenant(step_input(Step.CREATING_TENANT, given))
    return given


@pytest.fixture
async def begun(creation: TenantCreationActivities) -> TenantCreationInput:
    return await begin(creation)


async def refusal(rollback: RollbackActivities, given: TenantCreationInput) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        await ActivityEnvironment().run(rollback.roll_back_tenant, rollback_input(given))
    return caught.value


async def test_the_management_tenant_is_not_rolled_back(
    engine: AsyncEngine, database: asyncpg.Connection, begun: TenantCreationInput
) -> None:
    before = await row_counts(database, str(begun.tenant_id))
    rollback = RollbackActivities(engine, management_tenant_id=begun.tenant_id)
    assert (await refusal(rollback, begun)).type == "management-tenant"
    assert await row_counts(database, str(begun.tenant_id)) == before


async def test_a_tenant_that_another_operation_completed_is_not_rolled_back(
    rollback: RollbackActivities, database: asyncpg.Connection, begun: TenantCreationInput
) -> None:
    await database.execute(
        "INSERT INTO alga_tenants.operations"
        " (workflow_id, run_id, kind, tenant_id, tenant_name, product_code, status, finished_at)"
        " VALUES ('another', 'run', 'tenant_creation', $1, 'Acme', 'psa', 'completed', now())",
        begun.tenant_id,
    )
    before = await row_counts(database, str(begun.tenant_id))
    assert (await refusal(rollback, begun)).type == "tenant-complete"
    assert await row_counts(database, str(begun.tenant_id)) == before


async def test_the_worker_says_that_it_is_alive_while_one_statement_takes_long(
    engine: AsyncEngine, database: asyncpg.Connection, begun: TenantCreationInput
) -> None:
    rollback = RollbackActivities(engine, heartbeat_interval=0.01)
    environment = ActivityEnvironment()
    beats = anyio.Event()
    count = 0

    def beat(*_details: object) -> None:
        nonlocal count
        count += 1
        if count > 20:
            beats.set()

    async def roll_back() -> None:
        await environment.run(rollback.roll_back_tenant, rollback_input(begun))

    environment.on_heartbeat = beat
    async with anyio.create_task_group() as group, database.transaction():
        # As another session that is slow to let go of a row.
        await database.execute("SELECT FROM tenants WHERE tenant = $1 FOR UPDATE", begun.tenant_id)
        group.start_soon(roll_back)
        await _waits_for_lock(database)
        count = 0
        with anyio.fail_after(20):
            await beats.wait()
    assert await row_counts(database, str(begun.tenant_id)) == {}


async def _waits_for_lock(database: asyncpg.Connection) -> None:
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with anyio.fail_after(20):
        while not await database.fetchval(query):
            await anyio.lowlevel.checkpoint()


async def test_a_tenant_of_many_rows_is_rolled_back(
    creation: TenantCreationActivities,
    rollback: RollbackActivities,
    database: asyncpg.Connection,
    begun: TenantCreationInput,
) -> None:
    neighbour = (await begin(creation)).tenant_id
    for tenant in (begun.tenant_id, neighbour):
        for table in ("permissions", "roles"):
            key = f"{table.removesuffix('s')}_id"
            named = "resource, action" if table == "permissions" else "role_name"
            values = "'r' || n, 'a'" if table == "permissions" else "'r' || n"
            await database.execute(
                f"INSERT INTO {table} (tenant, {key}, {named})"  # noqa: S608 - names of the test
                f" SELECT $1, gen_random_uuid(), {values} FROM generate_series(1, 50000) n",
                tenant,
            )
    before = await row_counts(database, str(neighbour))
    result = await ActivityEnvironment().run(rollback.roll_back_tenant, rollback_input(begun))
    assert result.deleted_rows > 100_000
    assert await row_counts(database, str(begun.tenant_id)) == {}
    assert await row_counts(database, str(neighbour)) == before
    for table in ("permissions", "roles"):
        await database.execute(f"DELETE FROM {table} WHERE tenant = $1", neighbour)  # noqa: S608 - names of the test


async def test_a_table_that_was_made_a_moment_ago_is_emptied_as_well(
    rollback: RollbackActivities, database: asyncpg.Connection, begun: TenantCreationInput
) -> None:
    await database.execute("CREATE TABLE newest (tenant uuid REFERENCES tenants, note text)")
    try:
        await database.execute("INSERT INTO newest VALUES ($1, 'made after the worker had started')", begun.tenant_id)
        await ActivityEnvironment().run(rollback.roll_back_tenant, rollback_input(begun))
        assert await database.fetchval("SELECT count(*) FROM newest") == 0
    finally:
        await database.execute("DROP TABLE newest")
