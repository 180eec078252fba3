"""Set-based inserts: any number of rows in one statement of two parameters.

The rows travel as one jsonb document, because Citus clusters take seconds to introspect array types, and a
statement of a thousand parameters can be neither prepared nor cached.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Insert, Table, bindparam, column, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.tables import TENANT


async def insert_rows(
    connection: AsyncConnection, tenant_id: UUID, table: Table, rows: Sequence[dict[str, Any]]
) -> int:
    """Insert rows of one tenant, leaving out those whose key is taken; returns how many were inserted.

    All rows must have the same columns, `tenant` not among them. Columns that are left out get their default.
    """
    if not rows:
        return 0
    columns = tuple(rows[0])
    if any(tuple(row) != columns for row in rows):
        raise ValueError(f"the rows for {table.name} differ in their columns")
    result = await connection.execute(insert_recordset(table, columns), {TENANT: tenant_id, "rows": _plain(rows)})
    return int(result.rowcount)


@cache
def insert_recordset(table: Table, columns: tuple[str, ...]) -> Insert:
    """The statement that inserts a jsonb array of objects as rows of the tenant; parameters `tenant` and `rows`."""
    types = [column(name, table.c[name].type) for name in columns]
    document = bindparam("rows", type_=JSONB)
    records = func.jsonb_to_recordset(document).table_valued(*types).render_derived(name="r", with_types=True)
    tenant = bindparam(TENANT, type_=table.c[TENANT].type)
    source = select(tenant, *(records.c[name] for name in columns))
    return insert(table).from_select([TENANT, *columns], source, include_defaults=False).on_conflict_do_nothing()


def _plain(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with only what JSON knows; the serialiser refuses what it can't write."""
    return [{name: _json(value) for name, value in row.items()} for row in rows]


def _json(value: Any) -> Any:
    return str(value) if isinstance(value, UUID | Decimal | date) else value
