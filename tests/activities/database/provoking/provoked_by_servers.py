"""Errors of a failing server. Each scenario has the spare server to itself, as superuser."""

import asyncio
import os
import signal
from pathlib import Path

from sqlalchemy import text

from tests.activities.database.provoking.provoking import Provocations, Stage, run

SERVERS = Provocations[Stage]()


@SERVERS.of("53100")
async def the_disk_is_full(stage: Stage) -> None:
    """A device that is always full stands for the disk."""
    await run(stage.engine(), "COPY (SELECT 1) TO '/dev/full'")


@SERVERS.of("53")
async def shared_memory_is_used_up(stage: Stage) -> None:
    await run(stage.engine(), "SELECT count(pg_advisory_xact_lock(n)) FROM generate_series(1, 1000000) AS n")


@SERVERS.of("53")
async def temporary_files_grow_too_large(stage: Stage) -> None:
    many = "SELECT n FROM generate_series(1, 100000) AS n ORDER BY md5(n::text)"
    await run(stage.engine(), "SET LOCAL temp_file_limit = 0", "SET LOCAL work_mem = '64kB'", many)


@SERVERS.of("58")
async def a_file_is_gone(stage: Stage) -> None:
    (await _table_on_disk(stage)).unlink()
    await run(stage.engine(), "SELECT * FROM things")


@SERVERS.of("XX")
async def a_page_is_damaged(stage: Stage) -> None:
    file = await _table_on_disk(stage)
    file.write_bytes(b"\xff" * file.stat().st_size)
    await run(stage.engine(), "SELECT * FROM things")


@SERVERS.of("53300", heals=False)
async def the_server_has_no_connection_left(stage: Stage) -> None:
    """All but one of the spare server's connections are reserved for superusers, and this session is the one."""
    await run(stage.engine(await stage.stranger()), "SELECT 1")


@SERVERS.of("08", heals=False)
async def another_session_crashes(stage: Stage) -> None:
    """PostgreSQL then ends all sessions. Its SQLSTATE 57P02 is a warning, not an error."""
    other = await stage.session()
    async with stage.engine().begin() as connection:
        waiting = asyncio.create_task(connection.execute(text("SELECT pg_sleep(60)")))
        os.kill(other.get_server_pid(), signal.SIGKILL)
        await waiting


@SERVERS.of("57P03", heals=False)
async def the_server_shuts_down(stage: Stage) -> None:
    """The server waits for its sessions to end, and refuses new ones."""
    await stage.session()
    stage.server.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(60):
        while True:
            await run(stage.engine(), "SELECT 1")


@SERVERS.of("builtins.OSError", heals=False)
async def the_server_has_been_killed(stage: Stage) -> None:
    stage.server.process.send_signal(signal.SIGKILL)
    async with asyncio.timeout(60):
        while True:
            await run(stage.engine(), "SELECT 1")


async def _table_on_disk(stage: Stage) -> Path:
    """The file of a table `things` that holds a row and is not in the server's memory."""
    await stage.prepare(
        "CREATE EXTENSION pg_buffercache",
        "CREATE TABLE things AS SELECT 1 AS id",
        "CHECKPOINT",
        "SELECT pg_buffercache_evict_relation('things')",
    )
    session = await stage.session()
    folder = await session.fetchval("SHOW data_directory")
    return Path(folder, await session.fetchval("SELECT pg_relation_filepath('things')"))
