"""What tests ask a database about tenants' rows, through the live catalogue and with nothing of the product's."""

import hashlib
from collections.abc import Iterable
from uuid import UUID

import asyncpg

# Microsoft's tenant_id beside Alga's tenant: only the latter says whose row it is.
TENANT_COLUMNS = """
SELECT c.table_name, c.column_name
FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.column_name IN ('tenant', 'tenant_id')
  AND NOT (c.column_name = 'tenant_id' AND EXISTS (
      SELECT 1 FROM information_schema.columns o
      WHERE o.table_schema = c.table_schema AND o.table_name = c.table_name AND o.column_name = 'tenant'))
ORDER BY c.table_name
"""


async def tenant_tables(connection: asyncpg.Connection) -> dict[str, str]:
    """The tenant column of every tenant-scoped table."""
    return {row["table_name"]: row["column_name"] for row in await connection.fetch(TENANT_COLUMNS)}


async def row_counts(connection: asyncpg.Connection, tenant_id: UUID | str) -> dict[str, int]:
    """How many rows the tenant has in each table, for the tables where it has any."""
    counts = {}
    for table, column in (await tenant_tables(connection)).items():
        count = await connection.fetchval(
            f'SELECT count(*) FROM "{table}" WHERE "{column}"::text = $1',  # noqa: S608 - names from the catalogue
            str(tenant_id),
        )
        if count:
            counts[table] = count
    return counts


async def fingerprints(connection: asyncpg.Connection, *, without: Iterable[UUID | str] = ()) -> dict[str, str]:
    """A hash of every table's rows, byte for byte, leaving out those of the given tenants."""
    columns = await tenant_tables(connection)
    left_out = [str(tenant_id) for tenant_id in without]
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
    result = {}
    for (table,) in tables:
        column = columns.get(table)
        condition = f'WHERE "{column}" IS NULL OR NOT "{column}"::text = ANY ($1)' if column else ""
        rows = await connection.fetch(
            f'SELECT t::text FROM "{table}" t {condition} ORDER BY t::text',  # noqa: S608 - catalogue
            *([left_out] if column else []),
        )
        result[table] = hashlib.sha256("\n".join(row[0] for row in rows).encode()).hexdigest()
    return result
