"""Writes the archive of one tenant from one snapshot of the database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.alga.tables import tenants
from activities.errors import FinalError
from activities.export.archive import (
    MANIFEST,
    ArchivedColumn,
    ArchivedTable,
    Manifest,
    Part,
    part_path,
    totals_of,
)
from activities.export.columns import Column, Columns, clause, fingerprint, read_columns, rows_in_order, spelled
from activities.export.masking import TableMask, plan_masks
from activities.export.packing import BLOCK, Packer
from activities.export.storage import ArchiveStore, FileWriter
from activities.purge.catalogue import Catalogue
from activities.purge.purge import occupied_tables
from activities.purge.tenant_rows import TenantRows

DISTRIBUTION = "alga-tenants"
TENANT_NOT_FOUND = "tenant-not-found"
QUEUED_BLOCKS = 4
# Between two reports of progress within a table.
REPORTED_BYTES = 8 << 20
MAX_COPY_SECONDS = 7 * 24 * 3600.0

# So that equal rows have equal texts, and COPY of a large table is not ended.
SETTINGS = {
    "bytea_output": "hex",
    "DateStyle": "ISO, YMD",
    "extra_float_digits": "1",
    "IntervalStyle": "iso_8601",
    "TimeZone": "UTC",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
_SET = sa.select(*(sa.func.set_config(name, value, sa.true()) for name, value in SETTINGS.items()))


@dataclass(frozen=True)
class Progress:
    """How far an export is; `tables_done` of `tables` are written, with `rows`. `content_bytes` counts all so far."""

    table: str
    tables: int
    tables_done: int
    rows: int
    content_bytes: int


OnProgress = Callable[[Progress], Awaitable[None]]


@asynccontextmanager
async def snapshot(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Open a connection that sees one moment of the database and writes nothing, with the settings of an export."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        async with connection.begin():
            await connection.execute(_SET)
            yield connection


async def export_tenant(
    connection: AsyncConnection,
    catalogue: Catalogue,
    store: ArchiveStore,
    folder: str,
    *,
    tenant_id: UUID,
    export_id: str,
    include_secrets: bool,
    requested_by: str | None,
    on_progress: OnProgress,
    mac_key: bytes | None = None,
) -> Manifest:
    """Write all rows of the tenant durably into the empty folder, the manifest last, and return the manifest.

    `connection` comes from `snapshot`. `on_progress` is awaited before each table and every few MiB; it may raise to
    end the export. After any error the caller removes the folder, and the connection may be closed.

    Raises `FinalError` if there is no such tenant, `StorageError`, or an error of the database.
    """
    rows = TenantRows(catalogue, tenant_id)
    tenant = await _tenant(connection, tenant_id)
    columns = await read_columns(connection, catalogue)
    masks = {} if include_secrets else plan_masks(catalogue, columns)
    export = _Export(connection, store, folder, rows, columns, catalogue, masks, on_progress)
    tables = await export.write(await occupied_tables(connection, rows))
    manifest = Manifest(
        export_id=export_id,
        tenant_id=tenant_id,
        tenant_name=tenant.client_name,
        product=tenant.product_code,
        created_at=tenant.moment,
        product_version=version(DISTRIBUTION),
        requested_by=requested_by,
        masked=not include_secrets,
        schema_fingerprint=fingerprint(columns),
        tables=tables,
        masked_unlisted=tuple(f"{table}.{column}" for table in sorted(masks) for column in masks[table].unlisted),
        totals=totals_of(tables),
    )
    if mac_key is not None:
        manifest = manifest.signed(mac_key)
    async with store.write(f"{folder}/{MANIFEST}") as file:
        await file.write(manifest.text.encode())
    await store.persist(folder)
    return manifest


async def _tenant(connection: AsyncConnection, tenant_id: UUID) -> sa.Row[Any]:
    query = sa.select(tenants.c.client_name, tenants.c.product_code, sa.func.now().label("moment"))
    found = (await connection.execute(query.where(tenants.c.tenant == tenant_id))).one_or_none()
    if found is None:
        raise FinalError(TENANT_NOT_FOUND, f"there is no tenant {tenant_id}")
    return found


@dataclass
class _Export:
    """One export in progress."""

    connection: AsyncConnection
    store: ArchiveStore
    folder: str
    rows: TenantRows
    columns: Columns
    catalogue: Catalogue
    masks: Mapping[str, TableMask]
    on_progress: OnProgress
    tables: int = 0
    written: list[ArchivedTable] = field(default_factory=list)
    written_rows: int = 0
    written_bytes: int = 0

    async def write(self, occupied: Collection[str]) -> tuple[ArchivedTable, ...]:
        """Write the parts of the tables that have rows, and describe all tables by name."""
        self.tables = len(occupied)
        for label in sorted(occupied):
            self.written.append(await self._table(label))
        empty = [self._described(label) for label in self.rows.labels if label not in occupied]
        return tuple(sorted([*self.written, *empty], key=lambda table: table.name))

    async def _table(self, label: str) -> ArchivedTable:
        await self._report(label, 0)
        if label in self.masks and self.masks[label].dropped_because is not None:
            count = (await self.connection.execute(self.rows.count(0, label))).one().rows
            return self._described(label, dropped_rows=count)
        path = part_path(label)
        packer = Packer()
        async with self.store.write(f"{self.folder}/{path}") as file:
            count = await self._copy(label, packer, file)
            await file.write(packer.end())
        self.written_rows += count
        self.written_bytes += packer.content_bytes
        return self._described(label, rows=count, part=packer.part(path))

    def _described(
        self, label: str, *, rows: int = 0, part: Part | None = None, dropped_rows: int = 0
    ) -> ArchivedTable:
        tenant = self.catalogue.tables[label].tenant
        mask = self.masks.get(label, TableMask())
        return ArchivedTable(
            name=label,
            tenant_column=tenant.name if tenant else None,
            columns=tuple(ArchivedColumn(name=column.name, type=column.type) for column in self._archived(label)),
            rows=rows,
            part=part,
            masked=tuple(mask.masked),
            dropped_rows=dropped_rows,
            dropped_because=mask.dropped_because,
        )

    def _archived(self, label: str) -> list[Column]:
        return [column for column in self.columns[label] if not column.is_generated]

    async def _copy(self, label: str, packer: Packer, file: FileWriter) -> int:
        """Stream the table's rows through the packer into the file, and return their number."""
        blocks: asyncio.Queue[bytes] = asyncio.Queue(QUEUED_BLOCKS)
        driver: Any = (await self.connection.get_raw_connection()).driver_connection
        query = spelled(self._query(label))
        buffer = bytearray()

        async def fill(data: bytes) -> None:
            buffer.extend(data)
            while len(buffer) >= BLOCK:
                await blocks.put(bytes(buffer[:BLOCK]))
                del buffer[:BLOCK]

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pack(label, blocks, packer, file))
                status: str = await driver.copy_from_query(
                    query, output=fill, format="csv", header=True, encoding="utf8", timeout=MAX_COPY_SECONDS
                )
                if buffer:
                    await blocks.put(bytes(buffer))
                await blocks.put(b"")
        except BaseException as error:
            # The driver can't roll back while it still ends the COPY.
            await self.connection.invalidate()
            if isinstance(error, BaseExceptionGroup):
                # The first one ended the others.
                raise error.exceptions[0] from None
            raise
        return int(status.removeprefix("COPY "))

    async def _pack(self, label: str, blocks: asyncio.Queue[bytes], packer: Packer, file: FileWriter) -> None:
        """Pack blocks until an empty one comes. Other tasks go on meanwhile, because the work is done in a thread."""
        reported = 0
        while block := await blocks.get():
            await file.write(await asyncio.to_thread(packer.add, block))
            if packer.content_bytes - reported >= REPORTED_BYTES:
                reported = packer.content_bytes
                await self._report(label, reported)

    def _query(self, label: str) -> sa.Select[Any]:
        expressions = self.masks.get(label, TableMask()).expressions
        source = clause(self.catalogue.tables[label], self.columns[label])
        return rows_in_order(source, self.columns[label], expressions).where(self.rows.owned(label, source))

    async def _report(self, label: str, content_bytes: int) -> None:
        await self.on_progress(
            Progress(label, self.tables, len(self.written), self.written_rows, self.written_bytes + content_bytes)
        )
