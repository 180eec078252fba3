"""Errors of a failing server, which no other test uses."""

import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from activities.database.errors import DATABASE_ERRORS, UNAVAILABLE, classify
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.ports import free_port
from tests.activities.database.provoking.provoked_by_servers import SERVERS
from tests.activities.database.provoking.provoked_by_statements import driver_of
from tests.activities.database.provoking.provoking import (
    Provocation,
    Stage,
    assert_reported_as_the_table_says,
    each,
    run,
)
from tests.support.servers.databases import create_database, drop_database
from tests.support.servers.processes import is_running, wait_for

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def spare(server_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server that tests may break; it reserves all but one of its 200 connections for superusers."""
    port = free_port()
    with EmbeddedPostgres(server_folder / "spare", durable=False, pick_port=lambda: port) as server:
        run_blocking(_keep_connections_for_superusers(server))
        server.stop()
        server.start()
        yield server


@pytest.fixture
def database(spare: EmbeddedPostgres) -> Iterator[str]:
    """The admin URL of a new database on it."""
    url = create_database(spare.admin_url)
    yield url
    # Wait until it has ended or recovered: PostgreSQL 18 may hang if it is stopped at the beginning of a recovery.
    wait_for(lambda: spare.process.exit_status is not None or _is_up(spare))
    if spare.process.exit_status is not None:
        spare.stop()
        spare.start()
    drop_database(spare.admin_url, url)


@each(*SERVERS.all)
async def test_an_error_is_reported_as_the_table_says(
    provocation: Provocation[Stage], spare: EmbeddedPostgres, database: str
) -> None:
    async with Stage(spare, database) as stage:
        await assert_reported_as_the_table_says(provocation, stage)


async def test_a_pool_outlives_a_crash_of_its_server(spare: EmbeddedPostgres, database: str) -> None:
    async with Stage(spare, database) as stage:
        engine = stage.engine()
        async with engine.begin() as connection:
            session = (await driver_of(connection)).get_server_pid()
        spare.process.send_signal(signal.SIGKILL)
        wait_for(lambda: spare.process.exit_status is not None and not is_running(session))
        for _ in range(2):
            with pytest.raises(DATABASE_ERRORS) as caught:
                await run(engine, "SELECT 1")
            diagnosis = classify(caught.value)
            assert diagnosis is not None
            assert diagnosis.known.code == UNAVAILABLE
        spare.stop()
        spare.start()
        await run(engine, "SELECT 1")


def _is_up(server: EmbeddedPostgres) -> bool:
    try:
        run_blocking(_connect(server))
    except DATABASE_ERRORS:
        return False
    return True


async def _connect(server: EmbeddedPostgres) -> None:
    await (await asyncpg.connect(server.admin_url)).close()


async def _keep_connections_for_superusers(server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(server.admin_url)
    await connection.execute("ALTER SYSTEM SET superuser_reserved_connections = 199")
    await connection.close()
