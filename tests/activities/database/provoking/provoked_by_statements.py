"""Errors of a statement, or of the commit after it, that keep the connection."""

import asyncio
from typing import Any

from sqlalchemy import Integer, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.activities.database.provoking.provoking import Provocations, Stage, run
from tests.support.waiting import wait_until

STATEMENTS = Provocations[Stage]()

THINGS = "CREATE TABLE things (id integer PRIMARY KEY, name varchar(6), size integer)"
INSERT = "INSERT INTO things VALUES (1, 'secret', 9)"


@STATEMENTS.of("22")
async def a_value_is_too_long(stage: Stage) -> None:
    await stage.prepare(THINGS)
    await run(stage.engine(), "INSERT INTO things VALUES (1, 'secrets')")


@STATEMENTS.of("22")
async def a_value_can_not_be_sent(stage: Stage) -> None:
    async with stage.engine().begin() as connection:
        await connection.execute(select(bindparam("number", type_=Integer)), {"number": 2**40})


@STATEMENTS.of("23")
async def a_key_is_taken(stage: Stage) -> None:
    await stage.prepare(THINGS)
    await run(stage.engine(), INSERT, INSERT)


@STATEMENTS.of("23")
async def a_deferred_constraint_fails_at_commit(stage: Stage) -> None:
    await stage.prepare(
        "CREATE TABLE names (name text PRIMARY KEY)",
        "CREATE TABLE uses (name text REFERENCES names DEFERRABLE INITIALLY DEFERRED)",
    )
    await run(stage.engine(), "INSERT INTO uses VALUES ('secret')")


@STATEMENTS.of("44000")
async def a_view_refuses_a_row(stage: Stage) -> None:
    await stage.prepare(THINGS, "CREATE VIEW small AS SELECT * FROM things WHERE size < 5 WITH CHECK OPTION")
    await run(stage.engine(), INSERT.replace("things", "small"))


@STATEMENTS.of("P0")
async def a_trigger_refuses_a_row(stage: Stage) -> None:
    await stage.prepare(THINGS, *_trigger("RAISE 'not %', NEW.name"))
    await run(stage.engine(), INSERT)


@STATEMENTS.of("P0")
async def a_trigger_finds_no_row(stage: Stage) -> None:
    await stage.prepare(THINGS, *_trigger("SELECT id INTO STRICT NEW.size FROM things"))
    await run(stage.engine(), INSERT)


@STATEMENTS.of("22")
async def a_trigger_fails_with_a_statement_of_its_own(stage: Stage) -> None:
    """The error's context quotes that statement, values and all."""
    await stage.prepare(THINGS, *_trigger("EXECUTE format('SELECT 1 / 0 AS %I', NEW.name)"))
    await run(stage.engine(), INSERT)


@STATEMENTS.of("P0")
async def a_function_that_a_trigger_calls_refuses_a_row(stage: Stage) -> None:
    await stage.prepare(
        THINGS,
        "CREATE SCHEMA checks",
        "CREATE FUNCTION checks.forbid(integer, text) RETURNS void LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE 'not %', $2; END $$",
        *_trigger("PERFORM checks.forbid(NEW.size, NEW.name)"),
    )
    await run(stage.engine(), INSERT)


@STATEMENTS.of("42")
async def a_statement_is_malformed(stage: Stage) -> None:
    await run(stage.engine(), "SELECT FROM WHERE")


@STATEMENTS.of("42P01")
async def a_table_is_missing(stage: Stage) -> None:
    await run(stage.engine(), INSERT)


@STATEMENTS.of("42703")
async def a_column_is_missing(stage: Stage) -> None:
    await stage.prepare(THINGS)
    await run(stage.engine(), "SELECT colour FROM things")


@STATEMENTS.of("42704")
async def a_type_is_missing(stage: Stage) -> None:
    await run(stage.engine(), "SELECT CAST('red' AS colour)")


@STATEMENTS.of("42883")
async def a_function_is_missing(stage: Stage) -> None:
    await run(stage.engine(), "SELECT colour()")


@STATEMENTS.of("3F000")
async def a_schema_is_missing(stage: Stage) -> None:
    await run(stage.engine(), "CREATE TABLE colours.things (id integer)")


@STATEMENTS.of("42501")
async def a_table_is_closed_to_the_role(stage: Stage) -> None:
    await stage.prepare(THINGS)
    await run(stage.engine(), "SET LOCAL ROLE pg_monitor", "SELECT * FROM things")


@STATEMENTS.of("0A000")
async def a_feature_is_not_supported(stage: Stage) -> None:
    await run(stage.engine(), "SELECT * FROM elsewhere.public.things")


@STATEMENTS.of("0A000 asyncpg.exceptions.InvalidCachedStatementError", pooled=False)
async def a_table_is_changed_under_a_prepared_statement(stage: Stage) -> None:
    await stage.prepare(THINGS)
    engine = stage.engine(pool_size=1)
    await run(engine, "SELECT * FROM things")
    await stage.prepare("ALTER TABLE things ADD COLUMN colour text")
    await run(engine, "SELECT * FROM things")


@STATEMENTS.of("26000", pooled=False)
async def prepared_statements_are_gone(stage: Stage) -> None:
    engine = stage.engine(pool_size=1)
    await run(engine, "SELECT 1", "DEALLOCATE ALL")
    await run(engine, "SELECT 1")


@STATEMENTS.of("42P05", pooled=False)
async def names_of_prepared_statements_are_taken(stage: Stage) -> None:
    """The state in which another process leaves a server connection that PgBouncer then gives to this one."""
    async with stage.engine(pgbouncer=False).begin() as connection:
        name = (await connection.execute(text("SELECT name FROM pg_prepared_statements"))).scalars().all()[-1]
        head, _, number = name.rstrip("_").rpartition("_")
        first = int(number, 16) + 1
        driver = await driver_of(connection)
        for taken in range(first, first + 10):
            await driver.execute(f"PREPARE {head}_{taken:x}__ AS SELECT 1")
        await connection.execute(text("SELECT 1"))


@STATEMENTS.of("57014", pooled=False)
async def a_statement_takes_too_long(stage: Stage) -> None:
    await run(stage.engine(statement_timeout=0.1), "SELECT pg_sleep(60)")


@STATEMENTS.of("57014")
async def a_statement_takes_longer_than_its_transaction_allows(stage: Stage) -> None:
    await run(stage.engine(), "SET LOCAL statement_timeout = '50ms'", "SELECT pg_sleep(60)")


@STATEMENTS.of("57014")
async def an_administrator_cancels_a_statement(stage: Stage) -> None:
    await run(stage.engine(), "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60)")


@STATEMENTS.of("builtins.TimeoutError")
async def a_statement_takes_too_long_for_the_driver(stage: Stage) -> None:
    await run(stage.engine(statement_timeout=0.1), "SET LOCAL statement_timeout = 0", "SELECT pg_sleep(60)")


@STATEMENTS.of("25006", pooled=False)
async def a_server_has_become_a_standby(stage: Stage) -> None:
    await stage.prepare(THINGS)
    engine = stage.engine(pool_size=1)
    await run(engine, "SET SESSION default_transaction_read_only = on")
    await run(engine, INSERT)


@STATEMENTS.of("40")
async def two_transactions_change_one_row(stage: Stage) -> None:
    await stage.prepare(THINGS, INSERT)
    async with stage.engine().connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        await connection.execute(text("SELECT * FROM things"))
        await stage.prepare("UPDATE things SET size = 1")
        await connection.execute(text("UPDATE things SET size = 2"))


@STATEMENTS.of("40")
async def a_serializable_transaction_fails_at_commit(stage: Stage) -> None:
    await stage.prepare(THINGS)
    engine = stage.engine()
    async with engine.connect() as first, engine.connect() as second:
        for connection, number in ((first, "1"), (second, "2")):
            await connection.execution_options(isolation_level="SERIALIZABLE")
            await connection.execute(text("SELECT sum(size) FROM things"))
            await connection.execute(text(INSERT.replace("1", number)))
        await first.commit()
        await second.commit()


@STATEMENTS.of("40P01")
async def two_transactions_wait_for_each_other(stage: Stage) -> None:
    engine = stage.engine()
    async with engine.begin() as first, engine.begin() as second:
        await first.execute(text("SET LOCAL deadlock_timeout = '1min'"))
        await second.execute(text("SET LOCAL deadlock_timeout = '10ms'"))
        await _lock(first, 1)
        await _lock(second, 2)
        waiting = asyncio.create_task(_lock(first, 2))
        try:
            await _until_somebody_waits(stage)
            await _lock(second, 1)
        finally:
            await second.rollback()
            await waiting


@STATEMENTS.of("55P03")
async def a_lock_is_not_given_in_time(stage: Stage) -> None:
    holder = await stage.session()
    await holder.execute("SELECT pg_advisory_lock(1)")
    await run(stage.engine(), "SET LOCAL lock_timeout = '10ms'", "SELECT pg_advisory_xact_lock(1)")


@STATEMENTS.of("XX000 writing to worker nodes is not currently allowed")
async def a_citus_node_takes_no_writes(stage: Stage) -> None:
    """Raised by PL/pgSQL, because only Citus has this error, which is in English in any server language."""
    await run(stage.engine(), _raising("XX000", "writing to worker nodes is not currently allowed"))


@STATEMENTS.of("")
async def the_server_says_something_unheard_of(stage: Stage) -> None:
    """Raised by PL/pgSQL, because a server raises only errors that it knows."""
    await run(stage.engine(), _raising("ZZ999", "secret"))


async def driver_of(connection: AsyncConnection) -> Any:
    """Return asyncpg's connection."""
    return (await connection.get_raw_connection()).driver_connection


async def _lock(connection: AsyncConnection, number: int) -> None:
    await connection.execute(text(f"SELECT pg_advisory_xact_lock({number})"))


async def _until_somebody_waits(stage: Stage) -> None:
    session = await stage.session()

    async def is_waiting() -> bool:
        return bool(await session.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))

    await wait_until(is_waiting, timeout=60, every=0.01)


def _trigger(body: str) -> tuple[str, str]:
    return (
        f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NEW; END $$",
        "CREATE TRIGGER refusing BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION refuse()",
    )


def _raising(sqlstate: str, message: str) -> str:
    return f"DO $$ BEGIN RAISE '{message}' USING ERRCODE = '{sqlstate}'; END $$"
