"""Tenants with a row in every table, and stores for their archives."""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from zstandard import ZstdDecompressor

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
from tests.support.alga_triggers import triggers
from tests.support.servers.databases import NewDatabase
from tests.support.servers.s3 import S3Server

Export = Callable[..., Awaitable[Manifest]]
Change = Callable[[str, str], Awaitable[None]]
NEIGHBOUR = UUID("00000000-0000-4000-8000-000000000001")


@pytest.fixture(scope="session")
def shapes() -> dict[str, str]:
    """The shape of the keys of each database, by its URL."""
    return {}


@pytest.fixture(scope="session", params=["plain", "citus"])
def database_url(request: pytest.FixtureRequest, new_database: NewDatabase, shapes: dict[str, str]) -> str:
    """A database of these tests' own, with global rows and a neighbour who has a row in every table."""
    url = prepared(new_database(request.getfixturevalue(f"alga_{request.param}_template")), request.param)
    shapes[url] = request.param
    return url


@pytest.fixture(scope="session")
def database_shape(database_url: str, shapes: dict[str, str]) -> str:
    """The shape of the database's keys."""
    return shapes[database_url]


def prepared(url: str, shape: str, tables: Iterable[str] | None = None) -> str:
    """Migrate a database with Alga's tables, and give it Alga's triggers, global rows and a neighbour.

    The neighbour has a row in each of the tables and of those to which they refer; by default in all.
    """
    run_blocking(upgrade(sqlalchemy_url(url)))
    writer = RowWriter(catalog(shape))
    run_blocking(write(url, [*writer.global_rows(), *rows_of(writer, NEIGHBOUR, tables)]))
    run_blocking(_run(url, triggers(shape)))
    return url


async def _run(url: str, statements: list[str]) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(";\n".join(statements))
    finally:
        await connection.close()


async def write(url: str, statements: list[str]) -> None:
    """Write rows in any order, with foreign keys and triggers off."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(";\n".join(f"{statement} ON CONFLICT DO NOTHING" for statement in statements))
    finally:
        await connection.close()


async def write_tenant(url: str, shape: str, tables: Iterable[str] | None = None) -> UUID:
    """Write a tenant with a row in each of these tables and of those to which they refer; by default in all."""
    tenant_id = uuid4()
    await write(url, rows_of(RowWriter(catalog(shape)), tenant_id, tables))
    return tenant_id


def rows_of(writer: RowWriter, tenant_id: UUID, tables: Iterable[str] | None) -> list[str]:
    """Return the statements that write a tenant's rows in these tables and those to which they refer, or in all."""
    return writer.rows_of(tenant_id, writer.with_parents(tables) if tables is not None else None)


@pytest.fixture(scope="module")
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(sqlalchemy_url(database_url), application_name="tests", pool_size=5, statement_timeout=60)
    yield engine
    await engine.dispose()


@pytest.fixture
async def full_tenant(database_url: str, database_shape: str) -> UUID:
    """A tenant with a row in every table."""
    return await write_tenant(database_url, database_shape)


@pytest.fixture
async def small_tenant(database_url: str, database_shape: str, database: asyncpg.Connection) -> UUID:
    """A tenant with rows in a few tables."""
    tenant_id = uuid4()
    await write(database_url, RowWriter(catalog(database_shape)).rows_of(tenant_id, ["tenants", "teams", "users"]))
    # The contact is not among them.
    await database.execute("UPDATE users SET contact_id = NULL WHERE tenant = $1", tenant_id)
    return tenant_id


@pytest.fixture
def folder(server_folder: Path) -> Path:
    """The folder of a store, where writing is quick."""
    return new_folder(server_folder)


def new_folder(server_folder: Path) -> Path:
    """Return the path of a new folder for a store."""
    return server_folder / f"exports-{uuid4().hex}"


@pytest.fixture
def store(folder: Path) -> ArchiveStore:
    return open_store(folder.as_uri())


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket, whose server the environment names."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3.new_bucket()


async def ignore(_: Progress) -> None:
    """Take no notice of progress."""


@pytest.fixture
def export(engine: AsyncEngine, store: ArchiveStore) -> Export:
    """Return a function that exports a tenant into the folder `a`, by default with its secrets."""
    return exporter(engine, store)


def exporter(engine: AsyncEngine, store: ArchiveStore) -> Export:
    """Return such a function for a database."""

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


def content(part: Path) -> bytes:
    """Return what was compressed."""
    return ZstdDecompressor().decompressobj().decompress(part.read_bytes())


def records(folder: Path, manifest: Manifest, table: str) -> list[dict[str, str]]:
    """Return the rows of a table of an archive."""
    found = manifest.table(table)
    if found is None or found.part is None:
        return []
    return list(csv.DictReader(io.StringIO(content(folder / found.part.path).decode(), newline="")))


@asynccontextmanager
async def undone(database: asyncpg.Connection) -> AsyncIterator[None]:
    """Roll back what is done in the block."""
    transaction = database.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


@pytest.fixture
async def change(database: asyncpg.Connection) -> AsyncIterator[Change]:
    """Return a function that changes the structure of the database, with the change that takes it back."""
    back: list[str] = []

    async def run(there: str, and_back: str) -> None:
        back.append(and_back)
        await database.execute(there)

    yield run
    for statement in back:
        await database.execute(statement)
