"""The export of a large tenant and its restore, compared with COPY of the same rows out of and into the database."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.export.exporting import Progress, export_tenant, snapshot
from activities.export.storage import open_store
from activities.purge.catalogue import read_catalogue
from activities.purge.purge import count_tenant_rows
from bench.context import Context, MeasuringError, in_turns
from bench.databases.large_tenant import grow
from bench.databases.memory import Memory
from bench.sections import restore
from migrations.revisions import admin_engine

KINDS = {
    "masked": "export without secrets, compressed and hashed, into a folder",
    "whole": "export with secrets",
    "copy": "COPY of the same rows as CSV, thrown away",
}


class Comparison(NamedTuple):
    """The seconds of each way in each round, the numbers of rows, and by how many MiB exports let memory grow."""

    seconds: Mapping[str, Sequence[float]]
    rows: Mapping[str, int]
    growth: float


async def measure(context: Context) -> None:
    """Measure them for a tenant that the service has created."""
    await context.worker()
    async with context.client() as http:
        tenant_id = UUID((await context.tenant(http)).json()["tenantId"])
    options = context.options
    folder = options.folder / "exports"
    admin_url = context.bench.endpoints.admin_database_url
    measured = await compare(admin_url, tenant_id, folder, options.few(1_000_000, 10_000), options.few(2, 1))
    if measured.rows["whole"] != measured.rows["copy"]:
        raise MeasuringError(f"export and COPY had different numbers of rows: {measured.rows}")
    figures = context.figures
    figures.add("export.rows", "rows of the exported tenant", measured.rows["copy"], "")
    for kind, label in KINDS.items():
        figures.add_rounds(f"export.{kind}", label, measured.seconds[kind], "s")
    figures.add("export.memory", "growth of the process during the exports", measured.growth, "MiB")
    restored = await restore.compare(admin_url, tenant_id, folder, "whole", options.few(2, 1))
    if set(restored.rows.values()) != {measured.rows["copy"]}:
        raise MeasuringError(f"restore and COPY wrote different numbers of rows: {restored.rows}")
    for kind, label in restore.KINDS.items():
        figures.add_rounds(f"restore.{kind}", label, restored.seconds[kind], "s")
    figures.add("restore.memory", "growth of the process during the restores", restored.growth, "MiB")


async def compare(admin_url: str, tenant_id: UUID, folder: Path, rows: int, rounds: int) -> Comparison:
    """Add the rows, then export and copy all of the tenant's several times."""
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    numbers: dict[str, int] = {}
    async with AsyncExitStack() as stack:
        filling = await asyncpg.connect(admin_url)
        stack.push_async_callback(filling.close)
        await grow(filling, tenant_id, rows)
        engine = admin_engine(make_url(admin_url).set(drivername="postgresql+asyncpg"))
        stack.push_async_callback(engine.dispose)
        memory = Memory()
        for number in range(rounds):
            for kind in in_turns(list(KINDS), number):
                begun = time.perf_counter()
                if kind == "copy":
                    numbers[kind] = await _copy(engine, tenant_id)
                else:
                    numbers[kind] = await _export(engine, tenant_id, folder, memory, include_secrets=kind == "whole")
                seconds[kind].append(time.perf_counter() - begun)
    return Comparison(seconds, numbers, memory.growth)


async def _export(
    engine: AsyncEngine, tenant_id: UUID, folder: Path, memory: Memory, *, include_secrets: bool
) -> int:
    async def ignore(_: Progress) -> None:
        """Take no notice of progress."""

    store = open_store(folder.as_uri())
    kind = "whole" if include_secrets else "masked"
    await store.delete_prefix(kind)
    async with memory.watched(), snapshot(engine) as connection:
        manifest = await export_tenant(
            connection,
            await read_catalogue(connection),
            store,
            kind,
            tenant_id=tenant_id,
            export_id="measured",
            include_secrets=include_secrets,
            requested_by=None,
            on_progress=ignore,
        )
    return manifest.totals.rows


async def _copy(engine: AsyncEngine, tenant_id: UUID) -> int:
    """Send only the statements that are needed if the tables are known before."""
    rows = 0

    async def drop(_: bytes) -> None:
        """Do nothing with the rows."""

    async with snapshot(engine) as connection:
        catalogue = await read_catalogue(connection)
        driver: Any = (await connection.get_raw_connection()).driver_connection
        for label in await count_tenant_rows(connection, catalogue, tenant_id):
            tenant = catalogue.tables[label].tenant
            if tenant is not None:
                query = f"SELECT * FROM {label} WHERE {tenant.name} = '{tenant_id}'"  # noqa: S608 - names from the catalogue
                status: str = await driver.copy_from_query(query, output=drop, format="csv", header=True)
                rows += int(status.removeprefix("COPY "))
    return rows
