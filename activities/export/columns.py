"""The columns of the tables that can hold a tenant's rows, as the live catalogue has them."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.canonical_json import canonical
from activities.purge.catalogue import Catalogue

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
