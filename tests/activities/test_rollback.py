"""What a rollback refuses, and how it stays alive over a statement that takes long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import anyio
import asyncpg
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.rollback import RollbackActivities
from activities.tenant_creation import TenantCreationActivities
from tests.activities.conftest import request, rollback_input, step_input
from tests.support.audit import AUDIT
from tests.support.rows import fingerprints, row_counts
from tests.support.waiting import wait_until
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
    rollback = RollbackActivities(engine, audit=AUDIT, management_tenant_id=begun.tenant_id)
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


async def test_an_operation_that_completes_the_tenant_at_that_moment_is_waited_for(
    rollback: RollbackActivities, database: asyncpg.Connection, begun: TenantCreationInput
) -> None:
    another = f"another-{begun.tenant_id}"
    await database.execute(
        "INSERT INTO alga_tenants.operations"
        " (workflow_id, run_id, kind, tenant_id, tenant_name, product_code, status)"
        " VALUES ($1, 'run', 'tenant_creation', $2, 'Acme', 'psa', 'running')",
        another,
        begun.tenant_id,
    )
    async with anyio.create_task_group() as group, database.transaction():
        await database.execute(
            "UPDATE alga_tenants.operations SET status = 'completed', finished_at = now() WHERE workflow_id = $1",
            another,
        )

        async def refused() -> None:
            assert (await refusal(rollback, begun)).type == "tenant-complete"

        group.start_soon(refused)
        await waits_for_lock(database)
    assert await row_counts(database, str(begun.tenant_id))


async def test_an_operation_that_did_not_make_its_tenant_ends_though_it_is_the_management_tenant(
    engine: AsyncEngine, database: asyncpg.Connection, begun: TenantCreationInput
) -> None:
    before = await row_counts(database, str(begun.tenant_id))
    rollback = RollbackActivities(engine, audit=AUDIT, management_tenant_id=begun.tenant_id)
    result = await ActivityEnvironment().run(rollback.roll_back_tenant, rollback_input(begun, f"rival-{uuid4()}"))
    assert result.deleted_rows == 0
    assert await row_counts(database, str(begun.tenant_id)) == before


class Observed(ActivityEnvironment):
    """Hears heartbeats, and can wait for more of them."""

    def __init__(self) -> None:
        super().__init__()
        self.beats: list[Any] = []
        self.on_heartbeat = self.beats.append

    async def more_beats(self, count: int) -> None:
        """Return after so many more."""
        awaited = len(self.beats) + count

        async def heard() -> bool:
            return len(self.beats) >= awaited

        await wait_until(heard, timeout=20, every=0.01)


async def run_rollback(
    environment: ActivityEnvironment, rollback: RollbackActivities, given: TenantCreationInput
) -> None:
    await environment.run(rollback.roll_back_tenant, rollback_input(given))


@asynccontextmanager
async def slow_to_let_go(database: asyncpg.Connection, tenant_id: UUID | None) -> AsyncIterator[None]:
    """A session that holds a row of the tenant until the end of the block."""
    async with database.transaction():
        await database.execute("SELECT FROM client_locations WHERE tenant = $1 FOR UPDATE", tenant_id)
        yield


async def test_heartbeats_go_on_while_a_statement_waits_and_say_how_far_the_rollback_is(
    engine: AsyncEngine, database: asyncpg.Connection, begun: TenantCreationInput
) -> None:
    environment = Observed()
    rollback = RollbackActivities(engine, audit=AUDIT, heartbeat_interval=0.01)
    async with anyio.create_task_group() as group:
        async with slow_to_let_go(database, begun.tenant_id):
            group.start_soon(run_rollback, environment, rollback, begun)
            await waits_for_lock(database)
            await environment.more_beats(20)
            progress = environment.beats[-1]
        assert progress["table"] == "client_locations"
        assert isinstance(progress["rows"], int)
    assert await row_counts(database, str(begun.tenant_id)) == {}


@pytest.mark.parametrize("reason", ["cancelled", "heartbeat"])
async def test_a_rollback_that_is_cancelled_or_can_not_send_heartbeats_stops_and_changes_nothing(
    engine: AsyncEngine, database: asyncpg.Connection, begun: TenantCreationInput, reason: str
) -> None:
    before = await row_counts(database, str(begun.tenant_id))
    environment = Observed()
    rollback = RollbackActivities(engine, audit=AUDIT, heartbeat_interval=0.01)
    ended: list[BaseException] = []

    def fail(_details: Any) -> None:
        raise ConnectionError

    async def run() -> None:
        try:
            await run_rollback(environment, rollback, begun)
        except (asyncio.CancelledError, ApplicationError) as error:
            ended.append(error)

    async with anyio.create_task_group() as group, slow_to_let_go(database, begun.tenant_id):
        group.start_soon(run)
        await waits_for_lock(database)
        if reason == "cancelled":
            environment.cancel()
        else:
            environment.on_heartbeat = fail
        await nothing_is_locked(database)
    assert len(ended) == 1
    assert isinstance(ended[0], asyncio.CancelledError if reason == "cancelled" else ApplicationError)
    assert await row_counts(database, str(begun.tenant_id)) == before


async def test_the_statement_of_a_worker_that_died_does_not_stay_in_the_way(
    engine: AsyncEngine, database: asyncpg.Connection, begun: TenantCreationInput
) -> None:
    used: list[Any] = []
    event.listen(engine.sync_engine, "checkout", lambda connection, *_: used.append(connection.driver_connection))
    rollback = RollbackActivities(engine, audit=AUDIT, heartbeat_interval=0.01)

    async def interrupted() -> None:
        assert not (await refusal(rollback, begun)).non_retryable

    async with anyio.create_task_group() as group, slow_to_let_go(database, begun.tenant_id):
        group.start_soon(interrupted)
        await waits_for_lock(database)
        # As when the process is killed: nobody tells the server to cancel.
        used[-1]._transport.abort()
        await nothing_is_locked(database)


# Unlike pg_stat_activity it is read anew within a transaction.
LOCKS = """
    SELECT count(*) FILTER (WHERE NOT granted) AS waiting, count(*) AS any FROM pg_locks
    WHERE pid <> pg_backend_pid() AND (database IS NULL OR database = (
        SELECT oid FROM pg_database WHERE datname = current_database()))
"""


async def waits_for_lock(database: asyncpg.Connection) -> None:
    async def is_waiting() -> bool:
        return bool((await database.fetchrow(LOCKS))["waiting"])

    await wait_until(is_waiting, timeout=20, every=0.01)


async def nothing_is_locked(database: asyncpg.Connection) -> None:
    async def is_free() -> bool:
        return not (await database.fetchrow(LOCKS))["any"]

    await wait_until(is_free, timeout=20, every=0.01)


# Rows with foreign keys whose referenced rows are many, beside a neighbour's that look the same.
MANY = """
    INSERT INTO permissions (tenant, permission_id, resource, action)
        SELECT $1, md5('p' || n)::uuid, 'r' || n, 'a' FROM generate_series(1, 10) n;
    INSERT INTO roles (tenant, role_id, role_name)
        SELECT $1, md5('r' || n)::uuid, 'r' || n FROM generate_series(1, {roles}) n;
    INSERT INTO role_permissions (tenant, role_id, permission_id)
        SELECT $1, md5('r' || n)::uuid, md5('p' || m)::uuid
        FROM generate_series(1, {roles}) n, generate_series(1, 10) m;
"""


async def write_many(database: asyncpg.Connection, tenant_id: UUID | None, roles: int) -> None:
    async with database.transaction():
        # Alga's keys hold for these rows without being checked one by one.
        await database.execute("SET LOCAL session_replication_role = replica")
        for statement in MANY.format(roles=roles).split(";")[:-1]:
            await database.execute(statement, tenant_id)


async def test_a_tenant_of_many_rows_is_rolled_back_beside_a_neighbour(
    creation: TenantCreationActivities,
    rollback: RollbackActivities,
    database: asyncpg.Connection,
    begun: TenantCreationInput,
) -> None:
    neighbour = (await begin(creation)).tenant_id
    await write_many(database, begun.tenant_id, 12_000)
    await write_many(database, neighbour, 200)
    before = await fingerprints(database, without=[str(begun.tenant_id)])

    result = await ActivityEnvironment().run(rollback.roll_back_tenant, rollback_input(begun))

    assert result.deleted_rows > 132_000
    assert await fingerprints(database) == before


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
