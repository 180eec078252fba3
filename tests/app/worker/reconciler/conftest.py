"""A reconciler on a real database and a real Temporal server."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.alga.development import create_development_tables
from activities.database.engines import create_engine
from app.embedded.processes.blocking import run_blocking
from app.embedded.temporal import EmbeddedTemporal
from app.settings import Settings
from app.temporal.client import connect
from app.temporal.operations import TemporalOperations
from app.worker.reconciler import Reconciler
from migrations.revisions import admin_engine
from migrations.upgrade import upgrade
from tests.support.audit import AUDIT
from tests.support.servers.databases import NewDatabase


@pytest.fixture(scope="module")
def database_url(new_database: NewDatabase) -> str:
    url = new_database()
    run_blocking(_prepare(url))
    return url


async def _prepare(url: str) -> None:
    target = make_url(url).set(drivername="postgresql+asyncpg")
    await upgrade(target)
    engine = admin_engine(target)
    async with engine.begin() as connection:
        await create_development_tables(connection)
    await engine.dispose()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM alga_tenants.operations; DELETE FROM alga_tenants.cancellations")
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    url = make_url(database_url).set(drivername="postgresql+asyncpg")
    engine = create_engine(url, application_name="tests", pool_size=4, statement_timeout=8)
    yield engine
    await engine.dispose()


@pytest.fixture
def settings(database_url: str, temporal: EmbeddedTemporal) -> Settings:
    return Settings(
        database_url=SecretStr(database_url),
        admin_database_url=SecretStr(database_url),
        temporal_address=temporal.address,
        temporal_task_queue=f"reconciled-{uuid4()}",
        nextauth_secret=SecretStr("test-nextauth-secret"),
    )


@pytest.fixture
async def client(settings: Settings) -> Client:
    return await connect(settings)


@pytest.fixture
def reconciler(engine: AsyncEngine, client: Client, settings: Settings) -> Reconciler:
    return Reconciler(engine, TemporalOperations(client, settings), AUDIT)
