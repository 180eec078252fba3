"""Proves that the database has what the archive has, row by row, before a restore commits."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.export.archive import ArchivedTable, Manifest
from activities.export.columns import Columns, clause, rows_in_order, spelled
from activities.export.restore.parts import MAX_COPY_SECONDS
from activities.export.restore.staging import StagedTable
from activities.purge.catalogue import Catalogue
from activities.purge.purge import count_rows
from activities.purge.tenant_rows import TenantRows


@dataclass(frozen=True)
class Proof:
    """Compares the tenant's rows with an archive; the connection has the settings of an export."""

    connection: AsyncConnection
    manifest: Manifest
    catalogue: Catalogue
    columns: Columns
    rows: TenantRows

    async def other_counts(self) -> dict[str, str]:
        """Return the tables that have another number of rows, and both numbers."""
        expected = {table.name: table.rows for table in self.manifest.tables if table.rows}
        found = await count_rows(self.connection, self.rows)
        names = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        return {name: f"{found.get(name, 0)} rows instead of {expected.get(name, 0)}" for name in names}

    async def other_contents(self, staged: Mapping[str, StagedTable]) -> list[str]:
        """Return the tables that have other rows than their part, or than their temporary table if there is one."""
        return [
            table.name
            for table in self.manifest.tables
            if table.part is not None
            and await self._digest(self._restored(table))
            != (
                await self._digest(rows_in_order(staged[table.name].source, self.columns[table.name]))
                if table.name in staged
                else table.part.content_sha256
            )
        ]

    def _restored(self, table: ArchivedTable) -> sa.Select[Any]:
        source = clause(self.catalogue.tables[table.name], self.columns[table.name])
        return rows_in_order(source, self.columns[table.name]).where(self.rows.owned(table.name, source))

    async def _digest(self, query: sa.Select[Any]) -> str:
        """Return the SHA-256 of the rows as a part has them."""
        digest = sha256()

        async def take(data: bytes) -> None:
            digest.update(data)

        driver: Any = (await self.connection.get_raw_connection()).driver_connection
        await driver.copy_from_query(
            spelled(query), output=take, format="csv", header=True, encoding="utf8", timeout=MAX_COPY_SECONDS
        )
        return digest.hexdigest()
