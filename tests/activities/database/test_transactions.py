"""Transactions whose end travels as one script: all or nothing, and nothing left on the connection."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from sqlalchemy import bindparam, literal, make_url, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.engines import create_engine
from activities.database.errors import UNAVAILABLE, classify
from activities.database.transactions import Transactions, script_literal, script_text, set_setting, setting
from tests.activities.conftest import sqlalchemy_url
from tests.support.round_trips import counting_proxy
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

COUNT = text("SELECT count(*) FROM written")
PROCESS = text("SELECT pg_backend_pid()")


@pytest.fixture
async def engine(database_url: str) -> AsyncEngine:
    """One connection only, so that whoever comes next gets what was left on it."""
    return create_engine(sqlalchemy_url(database_url), application_name="tests", pool_size=1, statement_timeout=8)


@pytest.fixture(autouse=True)
async def table(database: asyncpg.Connection) -> None:
    await database.execute(
        "DROP TABLE IF EXISTS written; CREATE TABLE written (number integer CONSTRAINT positive CHECK (number > 0))"
    )


async def state(engine: AsyncEngine) -> tuple[int, int]:
    """How many rows were written, and by which process the server says so; fails in an open transaction."""
    async with engine.begin() as connection:
        await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        count = (await connection.execute(COUNT)).scalar_one()
        return count, (await connection.execute(PROCESS)).scalar_one()


async def nothing() -> None:
    pass


async def write(engine: AsyncEngine, *last: str, meanwhile: Callable[[], Awaitable[None]] = nothing) -> None:
    """A transaction that writes a row, does something else, and ends with the given statements."""
    async with Transactions(engine).begin() as opened:
        await opened.connection.execute(text("INSERT INTO written VALUES (1)"))
        opened.end_with(*last)
        await meanwhile()


async def test_what_is_left_for_the_end_is_committed_with_the_rest(engine: AsyncEngine) -> None:
    async with Transactions(engine).begin() as opened:
        await opened.connection.execute(text("INSERT INTO written VALUES (:number)"), {"number": 1})
        opened.end_with("INSERT INTO written VALUES (2)", "INSERT INTO written SELECT 3")
        opened.end_with("INSERT INTO written SELECT sum(number) FROM written")
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


async def test_a_setting_is_known_to_the_rest_of_its_transaction_alone(engine: AsyncEngine) -> None:
    value = "it's \\ 100 % $1 :x; COMMIT"
    read = text(script_text(select(setting("word"))))
    async with Transactions(engine).begin() as opened:
        await opened.connection.execute(select(set_setting("word", literal(value))))
        assert (await opened.connection.execute(read)).scalar_one() == value
    async with Transactions(engine).begin() as opened:
        assert not (await opened.connection.execute(read)).scalar_one()
    await engine.dispose()


@pytest.mark.parametrize("value", ["it's \\ 100 % $1 :x; COMMIT --", "", "\u00e9\U0001f642", "\x01\n"])
async def test_a_literal_of_a_script_is_read_as_it_was(engine: AsyncEngine, value: str) -> None:
    async with Transactions(engine).connect() as connection:
        for given in (value, value.encode()):
            assert (await connection.exec_driver_sql(f"SELECT {script_literal(given)}")).scalar_one() == given
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


async def test_a_statement_with_parameters_is_no_part_of_a_script() -> None:
    with pytest.raises(ValueError, match="can't have parameters"):
        script_text(select(bindparam("given", 1)))
