"""Tenants are created and cancelled behind a real PgBouncer in transaction mode, which restarts meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.alga.development import create_development_tables
from activities.database.engines import create_engine
from activities.database.errors import DATABASE_ERRORS
from activities.errors import to_application_error
from activities.operations.activities import OperationActivities
from activities.operations.rows import request_cancel
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.blocking import run_blocking
from migrations.upgrade import upgrade
from tests.activities.conftest import POLICY, closing_input, provision_input, provisioning_on, request, sqlalchemy_url
from tests.support.audit import AUDIT
from tests.support.connections import connected
from tests.support.servers.databases import NewDatabase
from tests.support.servers.pgbouncer import PgBouncer
from tests.support.tenants.rows import row_counts
from tests.support.waiting import wait_until
from workflows.operations.messages import Cancellation
from workflows.tenants.request import TenantCreationInput

pytestmark = pytest.mark.anyio

ResultT = TypeVar("ResultT")

WORKERS = 4
TENANTS = 3
BETWEEN_TRIES = 0.02


class Work:
    """Runs activities as the workflow does, which repeats them after passing errors."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.done = 0
        self.errors: list[ApplicationError] = []
        self._engine = engine
        self._provisioning = provisioning_on(engine)
        self._closing = OperationActivities(engine, AUDIT, POLICY)

    async def create(self, given: TenantCreationInput) -> None:
        """Provision the tenant."""
        await self._until_done(self._provisioning.provision_tenant, provision_input(given))

    async def create_and_stop(self, given: TenantCreationInput) -> None:
        """Cancel a creation, see its attempt fail, and close it."""
        await self._until_done(self._cancel, given)
        with pytest.raises(ApplicationError, match="was cancelled"):
            await self.create(given)
        await self._until_done(self._closing.close_operation, closing_input(given))

    async def create_all(self, requests: Sequence[TenantCreationInput]) -> None:
        """Create tenants one after the other."""
        for given in requests:
            await self.create(given)

    async def stop_all(self, requests: Sequence[TenantCreationInput]) -> None:
        """Cancel creations one after the other."""
        for given in requests:
            await self.create_and_stop(given)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds."""

        async def holds() -> bool:
            return condition()

        await wait_until(holds, timeout=30, every=0.005)

    async def _cancel(self, given: TenantCreationInput) -> None:
        operation = provision_input(given).operation
        try:
            async with self._engine.begin() as connection:
                await request_cancel(connection, operation.workflow_id, operation.run_id, Cancellation())
        except DATABASE_ERRORS as error:
            raise to_application_error(error) from None

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
    """The product's engine, connected through PgBouncer."""
    url = sqlalchemy_url(bouncer.url(database_url))
    engine = create_engine(url, application_name="tests", pool_size=1, statement_timeout=8, pgbouncer=True)
    yield engine
    await engine.dispose()


async def test_tenants_are_made_and_stopped_while_pgbouncer_and_its_connections_come_and_go(
    engine: AsyncEngine, bouncer: PgBouncer, database: asyncpg.Connection
) -> None:
    work = Work(engine)
    reference, *kept = [request(uuid4(), addons=["ai"]) for _ in range(1 + WORKERS * TENANTS)]
    stopped = [request(uuid4(), addons=["ai"]) for _ in range(WORKERS * TENANTS)]
    await work.create(reference)
    async with asyncio.TaskGroup() as tasks:
        for first in range(WORKERS):
            tasks.create_task(work.create_all(kept[first::WORKERS]))
            tasks.create_task(work.stop_all(stopped[first::WORKERS]))
        await work.until(lambda: work.done >= 2 * WORKERS)
        await _end_server_connections(database)
        await work.until(lambda: work.done >= 4 * WORKERS and bool(work.errors))
        tried = len(work.errors)
        bouncer.stop()
        await work.until(lambda: len(work.errors) > tried + WORKERS)
        bouncer.start()
    assert {error.type for error in work.errors} == {"database-unavailable"}
    complete = await row_counts(database, str(reference.tenant_id))
    for given in kept:
        assert await row_counts(database, str(given.tenant_id)) == complete
    for given in stopped:
        assert await row_counts(database, str(given.tenant_id)) == {}


@pytest.mark.parametrize("bouncer", [1], indirect=True)
async def test_nothing_of_a_tenants_making_is_left_on_the_server_connection(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        # Loads the language of our triggers, with its settings.
        await connection.execute(text("DO 'BEGIN END'"))
    before = await _session(engine)
    work = Work(engine)
    await work.create(request(uuid4()))
    await work.create_and_stop(request(uuid4()))
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
    """Return the state of the server's session: process, settings and number of prepared statements."""
    async with engine.begin() as connection:
        settings = await connection.execute(text("SELECT name, setting FROM pg_settings"))
        process = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        prepared = (await connection.execute(text("SELECT count(*) FROM pg_prepared_statements"))).scalar_one()
        named = {row.name: row.setting for row in settings}
    return {**named, "process": str(process), "prepared statements": str(prepared)}
