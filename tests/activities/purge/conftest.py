"""Databases to purge: all of Alga's tables in both shapes, and an empty one for tables that a test creates."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database.engines import create_engine
from tests.activities.purge.rows import Catalog, RowWriter
from tests.support.alga import ALGA, CATALOGS
from tests.support.servers.databases import NewDatabase


@dataclass(frozen=True)
class Shape:
    """Alga's schema as it is on plain Postgres or on Citus, and a database that has it."""

    name: str
    catalog: Catalog
    database: str

    @cached_property
    def writer(self) -> RowWriter:
        return RowWriter(self.catalog)


@asynccontextmanager
async def rolled_back(database: str) -> AsyncIterator[AsyncConnection]:
    """Open a connection in a transaction that is never committed."""
    url = make_url(database).set(drivername="postgresql+asyncpg")
    engine = create_engine(url, application_name="tests", pool_size=1, statement_timeout=30)
    async with engine.connect() as connection:
        await connection.begin()
        yield connection
    await engine.dispose()


async def run_script(connection: AsyncConnection, script: str) -> None:
    """Run a script in the connection's transaction."""
    await connection.execute(text("SELECT"))  # the driver begins it only now
    await (await driver(connection)).execute(script)


async def driver(connection: AsyncConnection) -> Any:
    """Return the underlying asyncpg connection."""
    return (await connection.get_raw_connection()).driver_connection


@pytest.fixture(scope="session", params=["plain", "citus"])
def shape(request: pytest.FixtureRequest, new_database: NewDatabase) -> Shape:
    """Each shape, with a database that no test changes."""
    template = request.getfixturevalue(f"alga_{request.param}_template")
    catalog = json.loads((ALGA / CATALOGS[request.param]).read_text())
    return Shape(request.param, catalog, new_database(template))


@pytest.fixture
async def connection(shape: Shape) -> AsyncIterator[AsyncConnection]:
    """A connection to all of Alga's tables; what is written there is rolled back."""
    async with rolled_back(shape.database) as connection:
        yield connection


@pytest.fixture(scope="session")
def empty_database(new_database: NewDatabase) -> str:
    return new_database()


@pytest.fixture
async def empty(empty_database: str) -> AsyncIterator[AsyncConnection]:
    """A connection to a database without tables; what is made there is rolled back."""
    async with rolled_back(empty_database) as connection:
        yield connection
