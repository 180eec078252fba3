"""Transactions of scripts commit everything or nothing, and leave nothing on the connection."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import make_url, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.engines import create_engine
from activities.database.errors import UNAVAILABLE, classify
from activities.database.transactions import Secret, Statement, Transactions
from tests.activities.conftest import sqlalchemy_url
from tests.support.round_trips import counting_proxy
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

COUNT = text("SELECT count(*) FROM written")
INSERT = text("INSERT INTO written VALUES (:number)")
KEEP = text("INSERT INTO kept VALUES (:value)")
PROCESS = text("SELECT pg_backend_pid()")


@pytest.fixture
async def engine(database_url: str) -> AsyncEngine:
    """An engine with one connection, so that the next user finds what was left on it."""
    return create_engine(sqlalchemy_url(database_url), application_name="tests", pool_size=1, statement_timeout=8)


@pytest.fixture(autouse=True)
async def table(database: asyncpg.Connection) -> None:
    await database.execute(
        "DROP TABLE IF EXISTS written; CREATE TABLE written (number integer CONSTRAINT positive CHECK (number > 0))"
    )


async def state(engine: AsyncEngine) -> tuple[int, int]:
    """Return the number of rows written and the server's process; fails in an open transaction."""
    async with engine.begin() as connection:
        await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        count = (await connection.execute(COUNT)).scalar_one()
        return count, (await connection.execute(PROCESS)).scalar_one()


async def nothing() -> None:
    pass


async def write(engine: AsyncEngine, *last: str, meanwhile: Callable[[], Awaitable[None]] = nothing) -> None:
    """Write a row, do something else, and end with the given statements, in one transaction."""
    async with Transactions(engine).begin() as opened:
        await opened.connection.execute(text("INSERT INTO written VALUES (1)"))
        opened.run_with_commit(*(Statement(text(statement)) for statement in last))
        await meanwhile()


async def test_what_is_left_for_the_end_is_committed_with_the_rest(engine: AsyncEngine) -> None:
    async with Transactions(engine).begin() as opened:
        await opened.connection.execute(INSERT, {"number": 1})
        opened.run_with_commit(Statement(INSERT, {"number": 2}), Statement(INSERT, {"number": 3}))
        opened.run_with_commit(Statement(text("INSERT INTO written SELECT sum(number) FROM written")))
    assert (await state(engine))[0] == 4
    await engine.dispose()


async def test_an_error_of_the_block_undoes_it_and_keeps_the_connection(engine: AsyncEngine) -> None:
    _, process = await state(engine)

    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write(engine, "INSERT INTO written VALUES (2)", meanwhile=fail)
    assert await state(engine) == (0, process)
    await engine.dispose()


async def test_an_error_of_the_script_undoes_everything_and_names_its_place(engine: AsyncEngine) -> None:
    _, process = await state(engine)
    with pytest.raises(DBAPIError) as caught:
        await write(engine, "INSERT INTO written VALUES (2)", "INSERT INTO written VALUES (-1)")
    diagnosis = classify(caught.value)
    assert diagnosis is not None
    assert diagnosis.detail.endswith("(SQLSTATE 23514, table written, constraint positive)")
    assert await state(engine) == (0, process)
    await engine.dispose()


async def test_a_cancelled_transaction_leaves_nothing_open(engine: AsyncEngine, database: asyncpg.Connection) -> None:
    async def sleeps() -> bool:
        return (
            await database.fetchval("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
            is True
        )

    task = asyncio.create_task(write(engine, "SELECT pg_sleep(60)"))
    await wait_until(sleeps, timeout=5, every=0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await state(engine))[0] == 0
    await engine.dispose()


async def test_a_connection_that_is_lost_in_a_script_passes_and_is_replaced(
    engine: AsyncEngine, database: asyncpg.Connection
) -> None:
    _, process = await state(engine)

    async def end_server() -> None:
        await database.execute("SELECT pg_terminate_backend($1, 5000)", process)

    with pytest.raises(DBAPIError) as caught:
        await write(engine, "INSERT INTO written VALUES (2)", meanwhile=end_server)
    diagnosis = classify(caught.value)
    assert diagnosis is not None
    assert diagnosis.known.code == UNAVAILABLE
    count, other_process = await state(engine)
    assert (count, other_process != process) == (0, True)
    await engine.dispose()


async def test_a_secret_is_known_to_the_rest_of_its_transaction_alone(
    engine: AsyncEngine, database: asyncpg.Connection
) -> None:
    secret, value = Secret("word"), "it's \\ 100 % $1 :x; COMMIT"
    await database.execute("DROP TABLE IF EXISTS kept; CREATE TABLE kept (value text CHECK (value <> ''))")
    async with Transactions(engine).begin() as opened:
        await opened.connection.execute(select(secret.column), {"word": value})
        await opened.run(Statement(KEEP, {"value": secret}))
    assert await database.fetchval("SELECT value FROM kept") == value
    with pytest.raises(DBAPIError):
        async with Transactions(engine).begin() as opened:
            await opened.run(Statement(KEEP, {"value": secret}))
    await engine.dispose()


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("text", "it's \\ 100 % $1 :x; COMMIT --"),
        ("text", ""),
        ("text", "\u00e9\U0001f642"),
        ("text", "\x01\n"),
        ("bytea", b"it's \x00 \\ % :x"),
        ("integer", -7),
        ("boolean", False),
        ("uuid", UUID(int=7)),
        ("timestamptz", datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)),
    ],
)
async def test_a_value_of_a_script_is_stored_as_it_is(
    engine: AsyncEngine, database: asyncpg.Connection, type_name: str, value: object
) -> None:
    await database.execute(f"DROP TABLE IF EXISTS kept; CREATE TABLE kept (value {type_name})")
    async with Transactions(engine).begin() as opened:
        await opened.run(Statement(KEEP, {"value": value}))
    assert await database.fetchval("SELECT value FROM kept") == value
    await engine.dispose()


async def test_where_connections_are_tested_the_test_begins_the_transaction(database_url: str) -> None:
    direct = make_url(database_url)
    assert direct.port is not None
    async with counting_proxy(direct.port) as (port, trips):
        url = sqlalchemy_url(database_url).set(port=port)
        tested = create_engine(url, application_name="tests", pool_size=1, statement_timeout=8, pre_ping=True)
        taken = []
        for _ in range(3):
            before = trips.count
            await write(tested)
            taken.append(trips.count - before)
        await tested.dispose()
    assert taken[-1] == 3


async def test_a_lost_connection_is_replaced_where_connections_are_tested(
    database_url: str, database: asyncpg.Connection
) -> None:
    url = sqlalchemy_url(database_url)
    tested = create_engine(url, application_name="tests", pool_size=1, statement_timeout=8, pre_ping=True)
    _, process = await state(tested)
    await database.execute("SELECT pg_terminate_backend($1, 5000)", process)
    await write(tested)
    count, other_process = await state(tested)
    assert (count, other_process != process) == (1, True)
    await tested.dispose()


async def test_a_value_that_cannot_be_spelled_is_refused(engine: AsyncEngine) -> None:
    with pytest.raises(TypeError, match="a set can't be a value of a script"):
        async with Transactions(engine).begin() as opened:
            opened.run_with_commit(Statement(KEEP, {"value": {1}}))
    await engine.dispose()
