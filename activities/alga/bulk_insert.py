"""Set-based inserts: any number of rows of a table in one statement.

The rows travel as one jsonb document, because Citus clusters take seconds to introspect array types, and a
statement of a thousand parameters can be neither prepared nor cached.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, Self
from uuid import UUID

from sqlalchemy import Column, Table, Text, bindparam, cast, column, func, select
from sqlalchemy.dialects.postgresql import JSONB, Insert, insert

from activities.alga.tables import TENANT
from activities.database.transactions import Secret, Statement, Transaction

# A tenant that exists must not go unnoticed, and none of a blueprint's rows may be missing.
MUST_BE_NEW = "must_be_new"
# Their keys are ids derived from that of a new tenant, and so are free. The check costs a seventh of their 600 rows.
ALWAYS_NEW = frozenset({"permissions", "role_permissions"})


@dataclass(frozen=True)
class TableRows:
    """Rows of one table, all of the same columns. The tenant's is not among them; columns left out get defaults.

    `info` of the table names the tenant's column if it is not `tenant`, and says that its rows `must_be_new`.

    `document` is a JSON array of objects.
    """

    table: Table
    columns: tuple[str, ...]
    document: str

    @classmethod
    def of(cls, table: Table, rows: Sequence[dict[str, Any]]) -> Self:
        """Make rows of Python values; raises `ValueError` if their columns differ."""
        return cls(table, common_columns(table, rows), to_json(rows))


def common_columns(table: Table, rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return the columns that all rows have; raises `ValueError` if they differ."""
    columns = tuple(rows[0])
    if any(tuple(row) != columns for row in rows):
        raise ValueError(f"the rows for {table.name} differ in their columns")
    return columns


def to_json(value: Any, default: Callable[[object], str | None] = lambda _: None) -> str:
    """Return a value's JSON, in which ids, decimals and dates are strings; `default` converts further types."""

    def convert(part: object) -> str:
        converted = str(part) if isinstance(part, UUID | Decimal | date) else default(part)
        if converted is None:
            raise TypeError(f"a {type(part).__name__} is not JSON serializable")
        return converted

    return json.dumps(value, default=convert, separators=(",", ":"))


async def insert_rows(transaction: Transaction, tenant_id: UUID, records: Iterable[TableRows]) -> None:
    """Insert rows of one tenant, one statement for each table."""
    await transaction.run(*(insert_statement(tenant_id, rows) for rows in records))


def insert_statement(tenant_id: UUID, rows: TableRows, *, secret: Secret | None = None) -> Statement:
    """Return the statement that inserts rows of one tenant, if need be from the secret that holds their document."""
    return Statement(_insert(rows.table, rows.columns), {"tenant_id": tenant_id, "rows": secret or rows.document})


@cache
def _insert(table: Table, columns: tuple[str, ...]) -> Insert:
    document = cast(bindparam("rows", type_=Text), JSONB)
    types = [column(name, table.c[name].type) for name in columns]
    records = func.jsonb_to_recordset(document).table_valued(*types).render_derived(name="r", with_types=True)
    tenant = tenant_column(table)
    source = select(bindparam("tenant_id", type_=tenant.type), *(records.c[name] for name in columns))
    statement = insert(table).from_select([tenant.name, *columns], source, include_defaults=False)
    if table.info.get(MUST_BE_NEW) or table.name in ALWAYS_NEW:
        return statement
    return statement.on_conflict_do_nothing()


def tenant_column(table: Table) -> Column[Any]:
    """Return the column that names the tenant."""
    return table.c[table.info.get("tenant_column", TENANT)]
