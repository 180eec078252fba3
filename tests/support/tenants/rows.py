"""Reads tenants' rows through the live catalogue, without any code of the product."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

BATCH = 100

# If a table has both columns, tenant_id is Microsoft's, and only tenant determines the owner of a row.
# A table without pages and without partitions has no row, so that most of the 498 tables need not be read.
TABLES = """
SELECT c.relname, (
    SELECT min(a.attname::text) FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attname IN ('tenant', 'tenant_id') AND NOT a.attisdropped
), c.relkind = 'r' AND NOT c.relhassubclass AND pg_relation_size(c.oid) = 0
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
ORDER BY c.relname
"""


async def tenant_tables(connection: asyncpg.Connection, *, even_empty: bool = True) -> dict[str, str]:
    """Return the tenant column of every tenant-scoped table, or of every one that may have rows."""
    found = await connection.fetch(TABLES)
    return {table: column for table, column, is_empty in found if column and (even_empty or not is_empty)}


async def row_counts(connection: asyncpg.Connection, tenant_id: UUID | str) -> dict[str, int]:
    """Return the tenant's number of rows by table, for tables where it has any."""
    selects = [
        f'SELECT \'{table}\', count(*) FROM "{table}" WHERE "{column}"::text = $1'  # noqa: S608 - names from the catalogue
        for table, column, is_empty in await connection.fetch(TABLES)
        if column and not is_empty
    ]
    return {table: count for table, count in await _ask(connection, selects, str(tenant_id)) if count}


async def fingerprints(
    connection: asyncpg.Connection, *, without: Iterable[UUID | str] = ()
) -> dict[str, str | None]:
    """Return a hash of every table's rows, byte for byte, without those of the given tenants."""
    selects = []
    tables = await connection.fetch(TABLES)
    for table, column, is_empty in tables:
        if is_empty:
            continue
        condition = f'"{column}" IS NULL OR NOT "{column}"::text = ANY ($1)' if column else "$1::text[] IS NOT NULL"
        rows = f'SELECT t::text AS row FROM "{table}" t WHERE {condition}'  # noqa: S608 - names from the catalogue
        selects.append(f"SELECT '{table}', md5(string_agg(row, chr(10) ORDER BY row)) FROM ({rows}) r")  # noqa: S608
    rows_found = await _ask(connection, selects, [str(tenant_id) for tenant_id in without])
    found: dict[str, str | None] = {table: content for table, content in rows_found}  # noqa: C416 - typed
    return {table: found.get(table) for table, _, _ in tables}


class Content(NamedTuple):
    """The rows of a tenant in a table."""

    number: int
    fingerprint: str


async def contents(
    connection: asyncpg.Connection,
    tenant_ids: Iterable[UUID | str],
    *,
    without_columns: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, dict[str, Content]]:
    """Return the rows of each tenant by table, byte for byte; or only those of some tables, without some columns."""
    selects = []
    for table, column, is_empty in await connection.fetch(TABLES):
        if is_empty or not column or (without_columns is not None and table not in without_columns):
            continue
        names = ", ".join(f"'{name}'" for name in (without_columns or {}).get(table, ()))
        row = f"(to_jsonb(t) - ARRAY[{names}])::text" if names else "t::text"
        rows = f'SELECT "{column}"::text AS id, {row} AS row FROM "{table}" t WHERE "{column}"::text = ANY ($1)'  # noqa: S608 - names from the catalogue
        hashed = "md5(string_agg(row, chr(10) ORDER BY row))"
        selects.append(f"SELECT '{table}', id, count(*), {hashed} FROM ({rows}) r GROUP BY id")  # noqa: S608
    found: dict[str, dict[str, Content]] = {str(tenant_id): {} for tenant_id in tenant_ids}
    for table, tenant_id, count, fingerprint in await _ask(connection, selects, list(found)):
        found[tenant_id][table] = Content(count, fingerprint)
    return found


async def _ask(connection: asyncpg.Connection, selects: Sequence[str], *arguments: Any) -> list[tuple[Any, ...]]:
    rows = []
    for start in range(0, len(selects), BATCH):
        rows += await connection.fetch("\nUNION ALL\n".join(selects[start : start + BATCH]), *arguments)
    return [tuple(row) for row in rows]
