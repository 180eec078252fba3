"""Reads tenants' rows through the live catalogue, without any code of the product."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import asyncpg

BATCH = 100

# If a table has both columns, tenant_id is Microsoft's, and only tenant determines the owner of a row.
TABLES = """
SELECT t.table_name, (
    SELECT min(c.column_name) FROM information_schema.columns c
    WHERE c.table_schema = t.table_schema AND c.table_name = t.table_name AND c.column_name IN ('tenant', 'tenant_id')
)
FROM information_schema.tables t
WHERE t.table_schema = 'public' AND t.table_type = 'BASE TABLE'
ORDER BY t.table_name
"""


async def tenant_tables(connection: asyncpg.Connection) -> dict[str, str]:
    """Return the tenant column of every tenant-scoped table."""
    return {table: column for table, column in await connection.fetch(TABLES) if column}


async def row_counts(connection: asyncpg.Connection, tenant_id: UUID | str) -> dict[str, int]:
    """Return the tenant's number of rows by table, for tables where it has any."""
    selects = [
        f'SELECT \'{table}\', count(*) FROM "{table}" WHERE "{column}"::text = $1'  # noqa: S608 - names from the catalogue
        for table, column in (await tenant_tables(connection)).items()
    ]
    return {table: count for table, count in await _ask(connection, selects, str(tenant_id)) if count}


async def fingerprints(
    connection: asyncpg.Connection, *, without: Iterable[UUID | str] = ()
) -> dict[str, str | None]:
    """Return a hash of every table's rows, byte for byte, without those of the given tenants."""
    selects = []
    for table, column in await connection.fetch(TABLES):
        condition = f'"{column}" IS NULL OR NOT "{column}"::text = ANY ($1)' if column else "$1::text[] IS NOT NULL"
        rows = f'SELECT t::text AS row FROM "{table}" t WHERE {condition}'  # noqa: S608 - names from the catalogue
        selects.append(f"SELECT '{table}', md5(string_agg(row, chr(10) ORDER BY row)) FROM ({rows}) r")  # noqa: S608
    return dict(await _ask(connection, selects, [str(tenant_id) for tenant_id in without]))


async def _ask(connection: asyncpg.Connection, selects: Sequence[str], *arguments: Any) -> list[tuple[Any, Any]]:
    rows = []
    for start in range(0, len(selects), BATCH):
        rows += await connection.fetch("\nUNION ALL\n".join(selects[start : start + BATCH]), *arguments)
    return [tuple(row) for row in rows]
