"""Tenants with a row in every table, and stores for their archives."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.engines import create_engine
from activities.export.archive import Manifest
from activities.export.exporting import Progress, export_tenant, snapshot
from activities.export.storage import ArchiveStore, open_store
from activities.purge.catalogue import read_catalogue
from app.embedded.processes.blocking import run_blocking
from migrations.upgrade import upgrade
from tests.activities.conftest import sqlalchemy_url
from tests.activities.purge.rows import RowWriter
from tests.support.alga import catalog
from tests.support.servers.databases import NewDatabase

Export = Callable[..., Awaitable[Manifest]]
NEIGHBOUR = UUID("00000000-0000-4000-8000-000000000001")


@pytest.fixture(scope="session", params=["plain", "citus"])
def database_url(request: pytest.FixtureRequest, new_database: NewDatabase) -> str:
    """A database of these tests' own, with global rows and a neighbour who has a row in every table."""
    url = new_database(request.getfixturevalue(f"alga_{request.param}_template"))
    run_blocking(upgrade(sqlalchemy_url(url)))
    writer = RowWriter(catalog(request.param))
    run_blocking(_write(url, [*writer.global_rows(), *writer.rows_of(NEIGHBOUR)]))
    return url


async def _write(url: str, statements: list[str]) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(";\n".join(f"{statement} ON CONFLICT DO NOTHING" for statement in statements))
    finally:
        await connection.close()


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(sqlalchemy_url(database_url), application_name="tests", pool_size=5, statement_timeout=60)
    yield engine
    await engine.dispose()


@pytest.fixture
async def full_tenant(database_url: str, request: pytest.FixtureRequest) -> UUID:
    """A tenant with a row in every table."""
    tenant_id = uuid4()
    shape = str(request.node.callspec.params["database_url"])
    await _write(database_url, RowWriter(catalog(shape)).rows_of(tenant_id))
    return tenant_id


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "exports"


@pytest.fixture
def store(folder: Path) -> ArchiveStore:
    return open_store(folder.as_uri())


async def ignore(_: Progress) -> None:
    """Take no notice of progress."""


@pytest.fixture
def export(engine: AsyncEngine, store: ArchiveStore) -> Export:
    """Return a function that exports a tenant into the folder `a`, by default with its secrets."""

    async def run(tenant_id: UUID, folder: str = "a", **changes: Any) -> Manifest:
        options: dict[str, Any] = {
            "export_id": "e1",
            "include_secrets": True,
            "requested_by": "ada",
            "on_progress": ignore,
        }
        async with snapshot(engine) as connection:
            catalogue = await read_catalogue(connection)
            target = changes.pop("store", store)
            return await export_tenant(
                connection, catalogue, target, folder, tenant_id=tenant_id, **(options | changes)
            )

    return run
