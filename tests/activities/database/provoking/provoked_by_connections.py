"""Errors that end or prevent a connection, on a healthy server."""

import asyncio
import socket
from uuid import uuid4

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.embedded.processes.ports import LOOPBACK, free_port
from tests.activities.database.provoking.provoked_by_statements import driver_of
from tests.activities.database.provoking.provoking import SECRET, Provocations, Stage, run
from tests.app.gateway.outages import frozen
from tests.support.servers.processes import is_running, wait_for
from tests.support.servers.proxy import Proxy
from tests.support.waiting import wait_until

CONNECTIONS = Provocations[Stage]()

CLOSED = "connection is closed asyncpg.exceptions._base.InterfaceError"


@CONNECTIONS.of("57")
async def a_session_is_ended_amid_a_statement(stage: Stage) -> None:
    await run(stage.engine(), "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(60)")


@CONNECTIONS.of("57")
async def a_session_is_ended_amid_a_commit(stage: Stage) -> None:
    await stage.prepare(
        "CREATE TABLE things (name text)",
        "CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(60); END $$",
        "CREATE CONSTRAINT TRIGGER leaving AFTER INSERT ON things DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION leave()",
    )
    await run(stage.engine(), "INSERT INTO things VALUES ('secret')")


@CONNECTIONS.of(CLOSED)
async def a_session_is_ended_between_two_statements(stage: Stage) -> None:
    async with stage.engine().begin() as connection:
        await _end_session(stage, connection)
        await connection.execute(text("SELECT 1"))


@CONNECTIONS.of(CLOSED)
async def a_session_is_ended_before_its_commit(stage: Stage) -> None:
    async with stage.engine().begin() as connection:
        await connection.execute(text("SELECT 1"))
        await _end_session(stage, connection)


@CONNECTIONS.of(CLOSED)
async def the_driver_itself_says_that_a_session_has_ended(stage: Stage) -> None:
    session = await stage.session()
    await session.close()
    await session.execute("SELECT 1")


@CONNECTIONS.of("25P03")
async def a_transaction_stands_still_too_long(stage: Stage) -> None:
    """The driver notices it only if its process does nothing else meanwhile, hence the blocking wait."""
    async with stage.engine().begin() as connection:
        await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '10ms'"))
        server_process = (await driver_of(connection)).get_server_pid()
        wait_for(lambda: not is_running(server_process))
        await connection.execute(text("SELECT 1"))


@CONNECTIONS.of("25P04")
async def a_transaction_takes_too_long(stage: Stage) -> None:
    await run(stage.engine(), "SET LOCAL transaction_timeout = '10ms'", "SELECT pg_sleep(60)")


@CONNECTIONS.of("28", heals=False)
async def the_password_has_changed(stage: Stage) -> None:
    await stage.stranger()
    await run(stage.engine(stage.url_of("stranger", f"{SECRET}-old")), "SELECT 1")


@CONNECTIONS.of("28", heals=False)
async def the_role_may_not_log_in(stage: Stage) -> None:
    await run(stage.engine(await stage.stranger("NOLOGIN")), "SELECT 1")


@CONNECTIONS.of("3D000", heals=False)
async def the_database_is_missing(stage: Stage) -> None:
    await run(stage.engine(stage.url.replace(stage.database, uuid4().hex)), "SELECT 1")


@CONNECTIONS.of("42501", heals=False)
async def the_database_is_closed_to_the_role(stage: Stage) -> None:
    await stage.prepare(f"REVOKE CONNECT ON DATABASE {stage.database} FROM PUBLIC")
    stage.later(f"GRANT CONNECT ON DATABASE {stage.database} TO PUBLIC")
    await run(stage.engine(await stage.stranger()), "SELECT 1")


@CONNECTIONS.of("53300", heals=False)
async def the_role_has_too_many_connections(stage: Stage) -> None:
    await run(stage.engine(await stage.stranger("LOGIN CONNECTION LIMIT 0")), "SELECT 1")


@CONNECTIONS.of("53300", heals=False)
async def the_database_has_too_many_connections(stage: Stage) -> None:
    await stage.prepare(f"ALTER DATABASE {stage.database} CONNECTION LIMIT 0")
    stage.later(f"ALTER DATABASE {stage.database} CONNECTION LIMIT -1")
    await run(stage.engine(await stage.stranger()), "SELECT 1")


@CONNECTIONS.of("53300")
async def the_driver_itself_says_that_there_are_too_many_connections(stage: Stage) -> None:
    await asyncpg.connect(await stage.stranger("LOGIN CONNECTION LIMIT 0"))


@CONNECTIONS.of("FATAL", heals=False)
async def the_database_takes_no_connections(stage: Stage) -> None:
    home = await stage.session(stage.server.admin_url)
    await home.execute(f"ALTER DATABASE {stage.database} ALLOW_CONNECTIONS false")
    stage.later(f"ALTER DATABASE {stage.database} ALLOW_CONNECTIONS true")
    await run(stage.engine(), "SELECT 1")


@CONNECTIONS.of("builtins.TimeoutError")
async def a_session_stands_still_at_its_commit(stage: Stage) -> None:
    async with stage.engine(statement_timeout=0.1).connect() as connection:
        with frozen(await _server_process(connection)):
            await connection.commit()


@CONNECTIONS.of("builtins.TimeoutError", heals=False)
async def a_connect_gets_no_response(stage: Stage) -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        port = silent.getsockname()[1]
        await run(stage.engine(f"postgresql://a:b@{LOOPBACK}:{port}/c", connect_timeout=0.1), "SELECT 1")


@CONNECTIONS.of("sqlalchemy.exc.TimeoutError")
async def no_pooled_connection_becomes_free(stage: Stage) -> None:
    engine = stage.engine(pool_size=1, statement_timeout=0.1)
    async with engine.begin():
        await run(engine, "SELECT 1")


@CONNECTIONS.of("builtins.OSError", heals=False)
async def nothing_listens(stage: Stage) -> None:
    await run(stage.engine(f"postgresql://a:b@{LOOPBACK}:{free_port()}/c"), "SELECT 1")


@CONNECTIONS.of("builtins.OSError", heals=False)
async def the_host_has_no_address(stage: Stage) -> None:
    await run(stage.engine("postgresql://a:b@nothing.invalid/c"), "SELECT 1")


@CONNECTIONS.of("builtins.OSError", heals=False)
async def the_server_has_no_tls(stage: Stage) -> None:
    await run(stage.engine(f"{stage.url}?ssl=require"), "SELECT 1")


@CONNECTIONS.of("08", heals=False)
async def the_network_cuts_a_connection(stage: Stage) -> None:
    async with Proxy(stage.server.port) as proxy, stage.engine(_through(proxy, stage)).begin() as connection:
        waiting = asyncio.create_task(connection.execute(text("SELECT pg_sleep(60)")))
        await _until_somebody_sleeps(stage)
        proxy.cut()
        await waiting


@CONNECTIONS.of("builtins.OSError", heals=False)
async def the_network_cuts_a_connection_that_is_being_made(stage: Stage) -> None:
    async with Proxy(stage.server.port) as proxy:
        proxy.stall()
        connecting = asyncio.create_task(run(stage.engine(_through(proxy, stage)), "SELECT 1"))

        async def is_connected() -> bool:
            return proxy.connections > 0

        await wait_until(is_connected, timeout=60, every=0.01)
        proxy.cut()
        await connecting


def _through(proxy: Proxy, stage: Stage) -> str:
    return stage.url.replace(f":{stage.server.port}/", f":{proxy.port}/")


async def _server_process(connection: AsyncConnection) -> int:
    process: int = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    return process


async def _end_session(stage: Stage, connection: AsyncConnection) -> None:
    driver = await driver_of(connection)
    await stage.prepare(f"SELECT pg_terminate_backend({driver.get_server_pid()})")

    async def is_closed() -> bool:
        return bool(driver.is_closed())

    await wait_until(is_closed, timeout=60, every=0.01)


async def _until_somebody_sleeps(stage: Stage) -> None:
    session = await stage.session()

    async def is_sleeping() -> bool:
        return bool(
            await session.fetchval(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'PgSleep')",
                stage.database,
            )
        )

    await wait_until(is_sleeping, timeout=60, every=0.01)
