from contextlib import AsyncExitStack, ExitStack
from typing import Any

import pytest
from sqlalchemy import QueuePool, bindparam, make_url, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.engines import create_engine
from activities.errors import to_application_error
from tests.activities.database.provoking.provoking import run
from tests.app.gateway.outages import frozen
from tests.support.connections import connected
from tests.support.servers.databases import NewDatabase

pytestmark = pytest.mark.anyio

TENTH_OF_A_SECOND = 0.1


async def test_after_a_read_only_failover_all_connections_are_made_anew(new_database: NewDatabase) -> None:
    url = make_url(new_database()).set(drivername="postgresql+asyncpg")
    engine = create_engine(url, application_name="tests", pool_size=2, statement_timeout=5)
    try:
        await run(engine, "CREATE TABLE things (id integer)")
        await on_every_connection(engine, "SET SESSION default_transaction_read_only = on")
        with pytest.raises(DBAPIError) as caught:
            await run(engine, "INSERT INTO things VALUES (1)")
        assert caught.value.connection_invalidated
        await on_every_connection(engine, "INSERT INTO things VALUES (1)")
    finally:
        await engine.dispose()


@pytest.mark.parametrize(("pre_ping", "failures"), [(False, 1), (True, 0)])
async def test_after_all_sessions_were_ended_one_try_fails_unless_connections_are_tested(
    new_database: NewDatabase, *, pre_ping: bool, failures: int
) -> None:
    url = make_url(new_database()).set(drivername="postgresql+asyncpg")
    engine = create_engine(url, application_name="tests", pool_size=3, statement_timeout=5, pre_ping=pre_ping)
    try:
        await on_every_connection(engine, "SELECT 1")
        async with connected(url.render_as_string(hide_password=False)) as other:
            others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            await other.execute(text(f"SELECT pg_terminate_backend(pid, 5000) {others}"))
        for _ in range(failures):
            with pytest.raises(DBAPIError):
                await run(engine, "SELECT 1")
        await on_every_connection(engine, "SELECT 1")
    finally:
        await engine.dispose()


async def test_of_sessions_that_stand_still_only_the_first_is_waited_for(new_database: NewDatabase) -> None:
    url = make_url(new_database()).set(drivername="postgresql+asyncpg")
    engine = create_engine(url, application_name="tests", pool_size=2, statement_timeout=0.1)
    try:
        with ExitStack() as standing_still:
            for process in await on_every_connection(engine, "SELECT pg_backend_pid()"):
                standing_still.enter_context(frozen(process))
            with pytest.raises(TimeoutError):
                await run(engine, "SELECT 1")
            await run(engine, "SELECT 1")
    finally:
        await engine.dispose()


@pytest.mark.parametrize("pgbouncer", [False, True])
async def test_a_statement_is_ended_after_its_time(new_database: NewDatabase, *, pgbouncer: bool) -> None:
    url = make_url(new_database()).set(drivername="postgresql+asyncpg")
    engine = create_engine(
        url, application_name="tests", pool_size=1, statement_timeout=TENTH_OF_A_SECOND, pgbouncer=pgbouncer
    )
    try:
        with pytest.raises((DBAPIError, TimeoutError)) as caught:
            async with engine.begin() as connection:
                await connection.execute(text("SELECT pg_sleep(60)"))
        assert not to_application_error(caught.value).non_retryable
    finally:
        await engine.dispose()


async def test_a_statement_that_can_not_be_sent_is_our_own_fault_and_not_the_databases(
    new_database: NewDatabase,
) -> None:
    url = make_url(new_database()).set(drivername="postgresql+asyncpg")
    engine = create_engine(url, application_name="tests", pool_size=1, statement_timeout=5)
    document = bindparam("document", type_=JSONB)
    try:
        with pytest.raises(StatementError) as caught:
            async with engine.begin() as connection:
                await connection.execute(select(document), {"document": {1, 2}})
        assert to_application_error(caught.value).type == "internal-error"
    finally:
        await engine.dispose()


async def on_every_connection(engine: AsyncEngine, statement: str) -> list[Any]:
    """The first value of a statement that every connection of the pool runs."""
    assert isinstance(engine.pool, QueuePool)
    async with AsyncExitStack() as connections:
        pooled = [await connections.enter_async_context(engine.begin()) for _ in range(engine.pool.size())]
        results = [await connection.execute(text(statement)) for connection in pooled]
        return [result.scalar() if result.returns_rows else None for result in results]
