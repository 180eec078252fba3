"""The floor of writing a tenant: COPY of the same rows in one transaction."""

import io
from typing import Self
from uuid import UUID

import asyncpg
from sqlalchemy import make_url

from activities.purge.catalogue import Catalogue, read_catalogue
from activities.purge.deletion_order import Edge, children_first
from migrations.revisions import admin_engine


class TenantCopy:
    """The rows of one complete tenant, which can be deleted and written again by COPY."""

    def __init__(self, connection: asyncpg.Connection, tenant_id: UUID, columns: dict[str, str]) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        # The name of the tenant column by table, parents first.
        self._columns = columns
        self._data: dict[str, bytes] = {}
        self.rows = 0

    @classmethod
    async def of(cls, connection: asyncpg.Connection, admin_url: str, tenant_id: UUID) -> Self:
        """Read the tenant's rows with this connection of the role that owns Alga's tables."""
        engine = admin_engine(make_url(admin_url).set(drivername="postgresql+asyncpg"))
        try:
            async with engine.connect() as reading:
                catalogue = await read_catalogue(reading)
        finally:
            await engine.dispose()
        copy = cls(
            connection, tenant_id, _parents_first(catalogue, await _occupied(connection, catalogue, tenant_id))
        )
        await copy._read()
        return copy

    async def write(self) -> None:
        """Write all rows in one transaction."""
        async with self._connection.transaction():
            for table, data in self._data.items():
                await self._connection.copy_to_table(table, source=io.BytesIO(data), format="binary")

    async def remove(self) -> None:
        """Delete all rows without checking references."""
        async with self._connection.transaction():
            await self._connection.execute("SET LOCAL session_replication_role = replica")
            for table, column in self._columns.items():
                await self._connection.execute(_delete(table, column), str(self._tenant_id))

    async def _read(self) -> None:
        for table, column in self._columns.items():
            target = io.BytesIO()
            query = f"SELECT * FROM {table} WHERE {column}::text = $1"  # noqa: S608 - names from the catalogue
            status = await self._connection.copy_from_query(
                query, str(self._tenant_id), output=target, format="binary"
            )
            self.rows += int(status.split()[-1])
            self._data[table] = target.getvalue()


async def _occupied(connection: asyncpg.Connection, catalogue: Catalogue, tenant_id: UUID) -> dict[str, str]:
    found = {}
    for table in catalogue.tenant_tables:
        if table.tenant is None:
            continue
        query = f"SELECT 1 FROM {table.label} WHERE {table.tenant.name}::text = $1 LIMIT 1"  # noqa: S608 - the same
        if await connection.fetchval(query, str(tenant_id)):
            found[table.label] = table.tenant.name
    return found


def _parents_first(catalogue: Catalogue, occupied: dict[str, str]) -> dict[str, str]:
    pairs = {
        (key.child, key.parent)
        for key in catalogue.foreign_keys
        if key.child in occupied and key.parent in occupied and not key.clearable
    }
    order, _ = children_first(occupied, [Edge(child, parent) for child, parent in pairs])
    return {table: occupied[table] for table in reversed(order)}


def _delete(table: str, column: str) -> str:
    return f"DELETE FROM {table} WHERE {column}::text = $1"  # noqa: S608 - names from the catalogue
