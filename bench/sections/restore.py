"""The restore of a large tenant, compared with COPY of the same rows into the same tables."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from zstandard import ZstdDecompressor

from activities.export.archive import Manifest
from activities.export.restore.restoring import restore_tenant
from activities.export.storage import open_store
from activities.export.verification import read_manifest, verify_archive
from activities.purge.catalogue import Table, read_catalogue
from bench.context import MeasuringError, in_turns
from bench.databases.memory import Memory
from migrations.revisions import admin_engine

KINDS = {
    "restore": "restore from a folder, verified before and proven after",
    "copy_in": "COPY of the same rows from CSV, parents first",
}


class Comparison(NamedTuple):
    """The seconds of each way in each round, the numbers of rows, and by how many MiB restores let memory grow."""

    seconds: Mapping[str, Sequence[float]]
    rows: Mapping[str, int]
    growth: float


async def compare(admin_url: str, tenant_id: UUID, root: Path, folder: str, rounds: int) -> Comparison:
    """Delete the tenant, then restore and copy it several times; each is rolled back, so that the tenant is gone."""
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    numbers: dict[str, int] = {}
    async with AsyncExitStack() as stack:
        plain = await asyncpg.connect(admin_url)
        stack.push_async_callback(plain.close)
        engine = admin_engine(make_url(admin_url).set(drivername="postgresql+asyncpg"))
        stack.push_async_callback(engine.dispose)
        manifest = await _manifest(root, folder)
        tables = await _parents_first(engine, manifest)
        await _remove(plain, tenant_id, tables)
        _unpack(root / folder, manifest)
        memory = Memory()
        ways: dict[str, Callable[[AsyncConnection], Awaitable[int]]] = {
            "restore": lambda connection: _restore(connection, root, folder, memory),
            "copy_in": lambda connection: _copy(connection, root / folder, manifest, tables),
        }
        for number in range(rounds):
            for kind in in_turns(list(KINDS), number):
                async with engine.connect() as connection, connection.begin() as transaction:
                    begun = time.perf_counter()
                    numbers[kind] = await ways[kind](connection)
                    seconds[kind].append(time.perf_counter() - begun)
                    await transaction.rollback()
                # Makes room for the next run of what was rolled back.
                await plain.execute(f"VACUUM {', '.join(table.label for table in tables)}")
    return Comparison(seconds, numbers, memory.growth)


async def _manifest(root: Path, folder: str) -> Manifest:
    manifest, faults = await read_manifest(open_store(root.as_uri()), folder)
    if manifest is None:
        raise MeasuringError(f"the archive can't be read: {faults}")
    return manifest


async def _parents_first(engine: AsyncEngine, manifest: Manifest) -> list[Table]:
    async with engine.connect() as connection:
        plan = (await read_catalogue(connection)).deletion_plan()
    with_rows = {table.name for table in manifest.tables if table.part is not None}
    return [table for table in reversed(plan.order) if table.label in with_rows]


async def _remove(connection: asyncpg.Connection, tenant_id: UUID, tables: Sequence[Table]) -> None:
    """Delete all rows without checking references."""
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for table in tables:
            if table.tenant is not None:
                statement = f"DELETE FROM {table.label} WHERE {table.tenant.name}::text = $1"  # noqa: S608 - names from the catalogue
                await connection.execute(statement, str(tenant_id))
    await connection.execute(f"VACUUM ANALYZE {', '.join(table.label for table in tables)}")


def _unpack(archive: Path, manifest: Manifest) -> None:
    for table in manifest.tables:
        if table.part is not None:
            packed = archive / table.part.path
            with packed.open("rb") as source, _unpacked(archive, table.name).open("wb") as target:
                ZstdDecompressor().copy_stream(source, target)


def _unpacked(archive: Path, table: str) -> Path:
    return archive.with_name(f"{archive.name}-{table}.csv")


async def _restore(connection: AsyncConnection, root: Path, folder: str, memory: Memory) -> int:
    async def ignore(_table: str, _rows: int) -> None:
        """Take no notice of progress."""

    store = open_store(root.as_uri())
    async with memory.watched():
        manifest = await _manifest(root, folder)
        if faults := await verify_archive(store, folder, manifest_sha256=manifest.sha256):
            raise MeasuringError(f"the archive is damaged: {faults}")
        report = await restore_tenant(connection, store, folder, manifest, on_table=ignore)
    return sum(report.rows.values())


async def _copy(connection: AsyncConnection, archive: Path, manifest: Manifest, tables: Sequence[Table]) -> int:
    """Send only the statements that are needed if tables and order are known before."""
    rows = 0
    await connection.exec_driver_sql("SELECT set_config('app.current_tenant', $1, true)", (str(manifest.tenant_id),))
    driver: Any = (await connection.get_raw_connection()).driver_connection
    for table in tables:
        archived = manifest.table(table.label)
        columns = [column.name for column in archived.columns] if archived else []
        with _unpacked(archive, table.label).open("rb") as source:
            status: str = await driver.copy_to_table(
                table.name, source=source, schema_name=table.schema, columns=columns, format="csv", header=True
            )
        rows += int(status.removeprefix("COPY "))
    await connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
    return rows
