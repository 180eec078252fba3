"""Separate databases for tests on the shared server."""

from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from app.embedded.processes.blocking import run_blocking

# Returns the admin URL of a new database: a copy of the database whose URL is given, or else an empty one. Nothing
# may be connected to the original at that moment.
NewDatabase = Callable[..., str]


def create_database(admin_url: str, template: str | None = None) -> str:
    """Create a database on the server and return its admin URL.

    It goes with the server's folder, since dropping hundreds of them takes a minute.
    """
    name = f"test_{uuid4().hex}"
    source = urlsplit(template).path.lstrip("/") if template else "template1"
    # For Alga's 498 tables, copying files takes half as long as PostgreSQL's default, which logs every page.
    run_blocking(_execute(admin_url, f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY FILE_COPY'))
    return urlsplit(admin_url)._replace(path=f"/{name}").geturl()


def drop_database(admin_url: str, url: str) -> None:
    """Drop the database of `url` and close its connections."""
    run_blocking(_execute(admin_url, f'DROP DATABASE "{urlsplit(url).path.lstrip("/")}" WITH (FORCE)'))


async def _execute(admin_url: str, statement: str) -> None:
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
