"""The columns of the tables that can hold a tenant's rows, as the live catalogue has them, and queries of them."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.canonical_json import canonical
from activities.purge.catalogue import Catalogue, Table

_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]
TEXTS = ("text", "character varying", "character", "citext")

_COLUMNS = sa.text("""
    SELECT c.oid::regclass::text AS label, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
           a.attnotnull AS not_null, a.attgenerated <> '' AS is_generated, t.typtype = 'e' AS is_enum,
           t.typcategory = 'A' AS is_array, key.place::int AS key_place
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_constraint p ON p.conrelid = c.oid AND p.contype = 'p'
    LEFT JOIN LATERAL (SELECT place FROM unnest(p.conkey) WITH ORDINALITY AS k(number, place) WHERE number = a.attnum)
        AS key ON true
    WHERE n.nspname = ANY (current_schemas(false)) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY label, a.attnum
""")


@dataclass(frozen=True)
class Column:
    """A column; `key_place` is its place in the primary key, None if it is not part of that."""

    name: str
    type: str
    not_null: bool
    is_generated: bool
    is_enum: bool
    is_array: bool
    key_place: int | None

    @property
    def is_text(self) -> bool:
        """Whether it holds texts, which are ordered by a collation."""
        return self.type.startswith(TEXTS) and not self.is_array

    @property
    def max_length(self) -> int | None:
        """The number of characters that it can hold; None if there is no limit."""
        found = re.search(r"^character.*\((\d+)\)", self.type)
        return int(found[1]) if found else None


Columns = Mapping[str, tuple[Column, ...]]


async def read_columns(connection: AsyncConnection, catalogue: Catalogue) -> Columns:
    """Return the columns of the tables that can hold a tenant's rows, by label."""
    owned = {*(table.label for table in catalogue.tenant_tables), *catalogue.child_tables}
    found: dict[str, list[Column]] = defaultdict(list)
    for row in await connection.execute(_COLUMNS):
        label, *facts = row
        if label in owned:
            found[label].append(Column(*facts))
    return {label: tuple(columns) for label, columns in found.items()}


def fingerprint(columns: Columns) -> str:
    """Return the hash of the structure: each table's columns by name, with type, nullability and generation."""
    structure = {
        label: {
            column.name: {"type": column.type, "nullable": not column.not_null, "generated": column.is_generated}
            for column in own
        }
        for label, own in columns.items()
    }
    return hashlib.sha256(canonical(structure).encode()).hexdigest()


def clause(table: Table, columns: Sequence[Column]) -> sa.TableClause:
    """Return the table with these columns."""
    return sa.table(table.name, *(sa.column(column.name) for column in columns), schema=table.schema)


def rows_in_order(
    source: sa.FromClause, columns: Sequence[Column], expressions: Mapping[str, str] | None = None
) -> sa.Select[Any]:
    """Select the archived columns, by the primary key, or else by all columns, in an order that no collation changes.

    `expressions` take the place of columns, and don't order rows.
    """
    expressions = expressions or {}
    values: list[sa.ColumnElement[Any]] = [
        sa.literal_column(expressions[column.name]).label(column.name)
        if column.name in expressions
        else source.c[column.name]
        for column in columns
        if not column.is_generated
    ]
    key = sorted((column.key_place, column.name, column) for column in columns if column.key_place)
    if key:
        ordered = [(source.c[name], column) for _, name, column in key]
        order = [found.collate("C") if column.is_text else found for found, column in ordered]
    else:
        names = [column.name for column in columns if not (column.is_generated or column.name in expressions)]
        order = [sa.cast(source.c[name], sa.Text).collate("C") for name in names]
    return sa.select(*values).select_from(source).order_by(*order)


def spelled(query: sa.Select[Any]) -> str:
    """Return the text of a query with its values, for COPY, which takes no parameters."""
    return str(query.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))
