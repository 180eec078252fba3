"""Makes servers unavailable."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import asyncpg
import psutil

from tests.support.servers.processes import wait_for


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Freeze a process without closing its connections."""
    os.kill(pid, signal.SIGSTOP)
    try:
        # Threads run on until one of them handles the signal.
        wait_for(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def close_database(admin_url: str) -> None:
    """Terminate all connections to a database and allow no new ones."""
    parts = urlsplit(admin_url)
    name = parts.path.lstrip("/")
    connection = await asyncpg.connect(parts._replace(path="/postgres").geturl())
    try:
        await connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
    finally:
        await connection.close()
