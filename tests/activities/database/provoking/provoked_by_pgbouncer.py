"""Errors of PgBouncer itself, and those of a process in which it was not declared."""

from contextlib import suppress
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.activities.database.provoking.provoked_by_statements import names_of_prepared_statements_are_taken
from tests.activities.database.provoking.provoking import PooledStage, Provocations, run

# Two server connections a database, clients wait 1 s for one, and there may be four clients.
STRICT = {"default_pool_size": "2", "query_wait_timeout": "1", "max_client_conn": "4"}
# Takes session settings, and forgets them.
LENIENT = {
    "default_pool_size": "2",
    "ignore_startup_parameters": "statement_timeout,idle_in_transaction_session_timeout",
}

PGBOUNCER = Provocations[PooledStage]()
UNDECLARED = Provocations[PooledStage]()


@PGBOUNCER.of("08P01 query_wait_timeout")
async def no_server_connection_becomes_free(stage: PooledStage) -> None:
    engine = stage.engine()
    async with engine.begin() as first, engine.begin() as second:
        await first.execute(text("SELECT 1"))
        await second.execute(text("SELECT 1"))
        await run(engine, "SELECT 1")


@PGBOUNCER.of("08P01 max_client_conn", heals=False)
async def there_are_too_many_clients(stage: PooledStage) -> None:
    for _ in range(4):
        await stage.session(stage.bouncer.url(stage.url))
    await run(stage.engine(), "SELECT 1")


@PGBOUNCER.of("08P01 server_login_retry", heals=False)
async def the_server_behind_it_is_away(stage: PooledStage) -> None:
    """The first client waits while PgBouncer tries; the next one gets the error."""
    engine = stage.engine()
    await run(engine, "SELECT 1")
    stage.wire.refuse()
    with suppress(DBAPIError):
        await run(engine, "SELECT 1")
    await run(engine, "SELECT 1")


@PGBOUNCER.of("08P01 authentication failed", heals=False)
async def the_password_has_changed(stage: PooledStage) -> None:
    await run(stage.engine(stage.url_of("app_user")), "SELECT 1")


@PGBOUNCER.of("08P01 does not exist", heals=False)
async def the_database_is_missing(stage: PooledStage) -> None:
    await run(stage.engine(stage.url.replace(stage.database, uuid4().hex)), "SELECT 1")


@PGBOUNCER.of("08")
async def a_server_connection_is_ended(stage: PooledStage) -> None:
    await run(stage.engine(), "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(60)")


@PGBOUNCER.of("08")
async def it_is_restarted_amid_a_transaction(stage: PooledStage) -> None:
    async with stage.engine().begin() as connection:
        await connection.execute(text("SELECT 1"))
        stage.bouncer.restart()
        await connection.execute(text("SELECT 1"))


@PGBOUNCER.of("builtins.OSError", heals=False)
async def it_is_not_there(stage: PooledStage) -> None:
    stage.bouncer.stop()
    await run(stage.engine(), "SELECT 1")


@UNDECLARED.of("08P01 unsupported startup parameter", heals=False)
async def it_refuses_session_settings(stage: PooledStage) -> None:
    await run(stage.engine(pgbouncer=False), "SELECT 1")


@UNDECLARED.of("26000")
async def prepared_statements_are_on_another_server_connection(stage: PooledStage) -> None:
    """PgBouncer accepts session settings here, or else the connection would fail earlier."""
    engine, other = stage.engine(pgbouncer=False), stage.engine(pgbouncer=False)
    await run(engine, "SELECT 1")
    async with other.begin() as connection:
        await connection.execute(text("SELECT 2"))
        await run(engine, "SELECT 1")


@UNDECLARED.of("42P05")
async def prepared_statements_of_another_process_are_in_the_way(stage: PooledStage) -> None:
    await names_of_prepared_statements_are_taken(stage)
