"""The keys of tables that are unique over all tenants, and those to which a sequence gives values."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.across_tenants import SequenceKey
from activities.purge.catalogue import Catalogue

# Columns of a unique index, also one that is no constraint; parts of expressions have no column.
_UNIQUE = sa.text("""
    SELECT i.indexrelid::regclass::text AS name, i.indrelid::regclass::text AS label,
           json_agg(a.attname::text ORDER BY key.place)::text AS columns,
           bool_or(key.number = 0) OR i.indpred IS NOT NULL AS is_partial
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS key(number, place)
    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = key.number
    WHERE i.indisunique AND key.place <= i.indnkeyatts AND n.nspname = ANY (current_schemas(false))
    GROUP BY i.indexrelid, i.indrelid, i.indpred
    ORDER BY label, name
""")
# Of a column that is an identity or owns its sequence, or else has it in its default. Asking for each column by
# pg_get_serial_sequence would take the database a second.
_SEQUENCES = sa.text("""
    SELECT DISTINCT ON (c.oid, a.attnum)
           c.oid::regclass::text AS label, a.attname::text AS name, s.oid::regclass::text AS sequence
    FROM (
        SELECT refobjid AS relation, refobjsubid AS number, objid AS sequence, true AS is_own
        FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')
        UNION ALL
        SELECT d.adrelid, d.adnum, p.refobjid, false
        FROM pg_attrdef d
        JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid
        WHERE p.refclassid = 'pg_class'::regclass
    ) AS used
    JOIN pg_class s ON s.oid = used.sequence AND s.relkind = 'S'
    JOIN pg_class c ON c.oid = used.relation AND c.relkind IN ('r', 'p')
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = used.number AND NOT a.attisdropped
    WHERE n.nspname = ANY (current_schemas(false))
    ORDER BY c.oid, a.attnum, is_own DESC, s.oid
""")


@dataclass(frozen=True)
class Key:
    """Columns, without the tenant's, whose values no two rows share, or no two of one tenant.

    A `sequence` gives the values of the only column, to which nothing refers.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    sequence: SequenceKey | None = None


async def read_keys(connection: AsyncConnection, catalogue: Catalogue) -> Mapping[str, tuple[Key, ...]]:
    """Return the keys that are global or have a sequence, by table, of the tables that can hold a tenant's rows.

    Partial keys and those over expressions are left out: they are checked when the rows are written.
    """
    sequences = {(label, name): sequence for label, name, sequence in await connection.execute(_SEQUENCES)}
    owned = {table.label: table.tenant for table in catalogue.tenant_tables}
    owned |= dict.fromkeys(catalogue.child_tables)
    referenced = {(key.parent, name) for key in catalogue.foreign_keys for name in key.parent_columns}
    found: dict[str, list[Key]] = defaultdict(list)
    for name, label, listed, is_partial in await connection.execute(_UNIQUE):
        if label not in owned or is_partial:
            continue
        tenant = owned[label]
        columns = tuple(column for column in json.loads(listed) if tenant is None or column != tenant.name)
        is_global = len(columns) == len(json.loads(listed))
        sequence = None
        if len(columns) == 1 and (label, columns[0]) not in referenced and (label, columns[0]) in sequences:
            sequence = SequenceKey(columns[0], sequences[label, columns[0]], is_global)
        if is_global or sequence is not None:
            found[label].append(Key(name, label, columns, sequence))
    return {label: tuple(keys) for label, keys in found.items()}
