"""Reads the rows of one tenant, of any table, as values of JSON."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.confidential.columns import JSON_TYPES
from activities.purge.catalogue import Table, TenantType

Row = dict[str, Any]

MAX_BYTES = 16 << 20
"""Of one table, as PostgreSQL stores it."""

TIMES = ("timestamp without time zone", "timestamp with time zone", "timestamp")

_COLUMNS = sa.text("""
    SELECT c.oid::regclass::text AS label, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
           a.attnotnull AS not_null, pg_get_expr(d.adbin, d.adrelid) AS "default",
           a.attgenerated <> '' OR a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid), '') ~ '^nextval'
               AS fills_itself,
           coalesce(a.attnum = ANY (p.conkey), false) AS is_key,
           EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c'
                   AND a.attnum = ANY (k.conkey) AND cardinality(k.conkey) > 1) AS is_compared,
           EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND a.attnum = ANY (i.indkey)
                   AND NOT EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = c.oid AND o.attnum = ANY (i.indkey)
                                   AND (o.attname IN ('tenant', 'tenant_id') OR o.atttypid = 'uuid'::regtype)))
               AS is_unique
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    LEFT JOIN pg_constraint p ON p.conrelid = c.oid AND p.contype = 'p'
    WHERE n.nspname = ANY (current_schemas(false)) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY label, a.attnum
""")


@dataclass(frozen=True)
class Column:
    """A column; one that `fills_itself` is a sequence or generated, and is never written."""

    name: str
    type: str
    not_null: bool
    default: str | None
    fills_itself: bool
    is_key: bool
    is_compared: bool
    is_unique: bool
    """Whether no other tenant may have the same value."""

    @property
    def is_time(self) -> bool:
        """Whether it holds volatile times; those that a CHECK compares with other columns are kept as they are."""
        return self.type.startswith(TIMES) and not self.is_compared

    @property
    def has_current_time(self) -> bool:
        """Whether its default is the time of the insert."""
        return self.is_time and self.default is not None

    @property
    def is_uuid(self) -> bool:
        """Whether it holds UUIDs."""
        return self.type == "uuid"


@dataclass(frozen=True)
class ExactNumber:
    """The digits of a number in JSON that Python's floats can't hold exactly."""

    digits: str


@dataclass(frozen=True)
class LiveTable:
    """A table with a tenant's rows."""

    table: Table
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """The name of the table."""
        return self.table.name

    @property
    def tenant_column(self) -> str:
        """The column that names the tenant."""
        return self.table.tenant.name if self.table.tenant else ""

    @property
    def own_columns(self) -> tuple[Column, ...]:
        """The columns but the tenant's."""
        return tuple(column for column in self.columns if column.name != self.tenant_column)


async def read_columns(connection: AsyncConnection) -> Mapping[str, tuple[Column, ...]]:
    """Return the columns of all tables on the search path, by label."""
    found: dict[str, list[Column]] = defaultdict(list)
    for row in await connection.execute(_COLUMNS):
        label, *values = row
        found[label].append(Column(*values))
    return {label: tuple(columns) for label, columns in found.items()}


async def read_defaults(connection: AsyncConnection, columns: Iterable[Column]) -> dict[str, Any]:
    """Return the values of constant defaults of the columns; None if a column has none."""
    constant = [column for column in columns if column.default and "(" not in column.default]
    found: dict[str, Any] = {column.name: None for column in columns if column.default is None}
    if constant:
        # Expressions of the catalogue, in which nothing comes from outside.
        texts = [
            sa.cast(sa.func.to_jsonb(sa.literal_column(f"({column.default})")), sa.Text).label(f"c{number}")
            for number, column in enumerate(constant)
        ]
        row = (await connection.execute(sa.select(*texts))).one()
        found |= {column.name: _parsed(text, column) for column, text in zip(constant, row, strict=True)}
    return found


async def too_large(
    connection: AsyncConnection, table: Table, columns: Sequence[Column], tenant_id: UUID, most: int
) -> str | None:
    """Return why the tenant's rows of a table are too many or too large to be read, or None."""
    source = _source(table, columns)
    limited = _owned(sa.select(source), source, table, tenant_id).limit(most + 1).subquery()
    size = sa.func.pg_column_size(sa.func.row(*limited.c))
    query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(size), 0)).select_from(limited)
    count, total = (await connection.execute(query)).one()
    if count > most:
        return f"has more than {most:,} rows"
    return f"has more than {MAX_BYTES >> 20} MiB" if total > MAX_BYTES else None


async def bounded_count(connection: AsyncConnection, table: Table, tenant_id: UUID, most: int) -> int:
    """Return the number of the tenant's rows in a table, at most one more than `most`."""
    source = sa.table(table.name, *_tenant(table), schema=table.schema)
    limited = _owned(sa.select(sa.literal(1)), source, table, tenant_id).limit(most + 1).subquery()
    return await connection.scalar(sa.select(sa.func.count()).select_from(limited)) or 0


async def read_rows(
    connection: AsyncConnection, table: Table, columns: Sequence[Column], tenant_id: UUID, most: int
) -> LiveTable:
    """Return a table with at most so many rows of the tenant."""
    source = _source(table, columns)
    # One JSON text for each column: a query that named the row's type would crash Citus, and one that returned
    # arrays would make the driver introspect their types.
    texts = [
        sa.cast(sa.func.to_jsonb(source.c[column.name]), sa.Text).label(f"c{number}")
        for number, column in enumerate(columns)
    ]
    query = _owned(sa.select(*texts), source, table, tenant_id).limit(most)
    rows = [
        {column.name: _parsed(text, column) for column, text in zip(columns, row, strict=True)}
        for row in await connection.execute(query)
    ]
    return LiveTable(table, tuple(columns), tuple(rows))


def _source(table: Table, columns: Sequence[Column]) -> sa.TableClause:
    return sa.table(table.name, *(sa.column(column.name) for column in columns), schema=table.schema)


def _tenant(table: Table) -> list[sa.ColumnClause[Any]]:
    return [sa.column(table.tenant.name)] if table.tenant is not None else []


def _owned(
    query: sa.Select[*tuple[Any, ...]], source: sa.TableClause, table: Table, tenant_id: UUID
) -> sa.Select[*tuple[Any, ...]]:
    """Limit a query to the tenant's rows."""
    if table.tenant is None:
        raise ValueError(f"{table.label} has no tenant column")
    if table.tenant.type is TenantType.UUID:
        return query.where(source.c[table.tenant.name] == sa.bindparam("tenant", tenant_id, sa.Uuid()))
    return query.where(source.c[table.tenant.name] == sa.bindparam("tenant", str(tenant_id), sa.String()))


def _parsed(text: str | None, column: Column) -> Any:
    if text is None:
        return None
    if column.type in JSON_TYPES:
        return json.loads(text, parse_float=_number, parse_int=_number)
    # A number of any precision is written as a text, which PostgreSQL converts back.
    return json.loads(text, parse_float=str, parse_int=_number)


def _number(digits: str) -> int | float | ExactNumber:
    if digits.lstrip("-").isdigit():
        # Python converts no longer ones.
        return int(digits) if len(digits) < 4000 else ExactNumber(digits)  # noqa: PLR2004
    return float(digits) if repr(float(digits)) == digits else ExactNumber(digits)
