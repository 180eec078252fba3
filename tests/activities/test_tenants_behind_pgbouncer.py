"""Whole tenants made and undone behind a real PgBouncer in transaction mode, which comes and goes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.alga.blueprints import load_blueprints
from activities.alga.development import create_development_tables
from activities.alga.passwords import PasswordHasher
from activities.database import create_engine
from activities.rollback import RollbackActivities
from activities.tenant_creation import TenantCreationActivities
from app.embedded.blocking import run_blocking
from app.embedded.postgres import EmbeddedPostgres
from migrations.upgrade import upgrade
from tests.activities.conftest import request, rollback_input, sqlalchemy_url, step_input
from tests.support.audit import AUDIT
from tests.support.connections import connected
from tests.support.databases import NewDatabase
from tests.support.pgbouncer import PgBouncer
from tests.support.rows import row_counts
from tests.support.waiting import wait_until
from workflows.messages import TenantCreationInput
from workflows.steps import STEP_ACTIVITIES, Step

pytestmark = pytest.mark.anyio

ResultT = TypeVar("ResultT")

TENANTS = 4
BETWEEN_TRIES = 0.02


class Work:
    """Runs the activities as the workflow does: one step after the other, each again while its errors pass."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.done = 0
        self.errors: list[ApplicationError] = []
        self._creation = TenantCreationActivities(
            engine, load_blueprints(), PasswordHasher("test-nextauth-secret"), AUDIT
        )
        self._rollback = RollbackActivities(engine, audit=AUDIT)

    async def create(self, given: TenantCreationInput, until: Step = Step.COMPLETING) -> None:
        """All steps to and with the given one."""
        for step, activity in STEP_ACTIVITIES.items():
            await self._until_done(getattr(self._creation, activity), step_input(step, given))
            if step is until:
                return

    async def create_and_undo(self, given: TenantCreationInput) -> None:
        """A creation that is rolled back before it is complete."""
        await self.create(given, until=Step.SETTING_UP_DATA)
        await self._until_done(ActivityEnvironment().run, self._rollback.roll_back_tenant, rollback_input(given))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds."""

        async def holds() -> bool:
            return condition()

        await wait_until(holds, timeout=30, every=0.005)

    async def _until_done(self, activity: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        while True:
            try:
                await activity(*arguments)
            except ApplicationError as error:
                if error.non_retryable:
                    raise
                self.errors.append(error)
                await asyncio.sleep(BETWEEN_TRIES)
            else:
                self.done += 1
                return


@pytest.fixture
def database_url(new_database: NewDatabase) -> str:
    """The direct admin URL of a database with the tables that we need."""
    url = new_database()
    run_blocking(_make_tables(url))
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture(params=[3])
def bouncer(request: pytest.FixtureRequest, server_folder: Path, postgres: EmbeddedPostgres) -> Iterator[PgBouncer]:
    """A PgBouncer with the given number of server connections."""
    with PgBouncer(server_folder / uuid4().hex, postgres, default_pool_size=str(request.param)) as bouncer:
        yield bouncer


@pytest.fixture
async def engine(database_url: str, bouncer: PgBouncer) -> AsyncIterator[AsyncEngine]:
    """The product's engine, which leads through PgBouncer."""
    url = sqlalchemy_url(bouncer.url(database_url))
    engine = create_engine(url, application_name="tests", pool_size=1, statement_timeout=8, pgbouncer=True)
    yield engine
    await engine.dispose()


async def test_tenants_are_made_and_undone_while_pgbouncer_and_its_connections_come_and_go(
    engine: AsyncEngine, bouncer: PgBouncer, database: asyncpg.Connection
) -> None:
    work = Work(engine)
    reference, *kept = [request(uuid4(), addons=["ai"]) for _ in range(1 + TENANTS)]
    undone = [request(uuid4(), addons=["ai"]) for _ in range(TENANTS)]
    await work.create(reference)
    async with asyncio.TaskGroup() as tasks:
        for given in kept:
            tasks.create_task(work.create(given))
        for given in undone:
            tasks.create_task(work.create_and_undo(given))
        await work.until(lambda: work.done >= 3 * TENANTS)
        await _end_server_connections(database)
        await work.until(lambda: work.done >= 5 * TENANTS and bool(work.errors))
        tried = len(work.errors)
        bouncer.stop()
        await work.until(lambda: len(work.errors) > tried + TENANTS)
        bouncer.start()
    assert {error.type for error in work.errors} == {"database-unavailable"}
    complete = await row_counts(database, str(reference.tenant_id))
    for given in kept:
        assert await row_counts(database, str(given.tenant_id)) == complete
    for given in undone:
        assert await row_counts(database, str(given.tenant_id)) == {}


@pytest.mark.parametrize("bouncer", [1], indirect=True)
async def test_nothing_of_a_tenants_making_is_left_on_the_server_connection(engine: AsyncEngine) -> None:
    before = await _session(engine)
    work = Work(engine)
    await work.create(request(uuid4()))
    await work.create_and_undo(request(uuid4()))
    after = await _session(engine)
    assert after == before
    assert after["prepared statements"] == "0"


async def test_a_statement_that_takes_too_long_is_ended_on_the_server_too(
    database_url: str, bouncer: PgBouncer, database: asyncpg.Connection
) -> None:
    url = sqlalchemy_url(bouncer.url(database_url))
    engine = create_engine(url, application_name="tests", pool_size=1, statement_timeout=0.1, pgbouncer=True)
    with pytest.raises(TimeoutError):
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_sleep(60)"))

    sleeping = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"

    async def has_ended() -> bool:
        return not await database.fetchval(f"SELECT EXISTS (SELECT {sleeping})")

    await wait_until(has_ended, timeout=5, every=0.02)


async def _make_tables(url: str) -> None:
    await upgrade(sqlalchemy_url(url))
    async with connected(url) as connection:
        await create_development_tables(connection)


async def _end_server_connections(database: asyncpg.Connection) -> None:
    ended = await database.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert ended


async def _session(engine: AsyncEngine) -> dict[str, str]:
    """What the server's session is like: its process, its settings, and how many prepared statements it keeps."""
    async with engine.begin() as connection:
        settings = await connection.execute(text("SELECT name, setting FROM pg_settings"))
        process = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        prepared = (await connection.execute(text("SELECT count(*) FROM pg_prepared_statements"))).scalar_one()
        named = {row.name: row.setting for row in settings}
    return {**named, "process": str(process), "prepared statements": str(prepared)}
