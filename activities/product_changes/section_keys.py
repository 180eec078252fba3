"""By which columns the rows of a blueprint's `rows` are compared with a tenant's own ones."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import String, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.blueprints.model import TableSection
from activities.alga.blueprints.symbols import NOW, TENANT, TODAY, is_number, names_in, texts_in, whole_name

Columns = tuple[str, ...]

_NAMES_THINGS = re.compile(r"(^|_)(name|title|slug|code)$|^key$")
_TEXTUAL = re.compile(r"(text|character varying|character)\b(?!.*\[\])")
_COMPARABLE = re.compile(r"(text|character varying|character|uuid|integer|bigint|smallint|boolean)\b(?!.*\[\])")
# Each unique index as one text: an array would make the driver introspect its type.
_UNIQUE = text("""
    SELECT c.relname, string_agg(a.attname, ' ')
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relname IN :tables
        AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
    GROUP BY i.indexrelid, c.relname
""").bindparams(bindparam("tables", expanding=True, type_=String))


async def read_unique_keys(connection: AsyncConnection, tables: Iterable[str]) -> Mapping[str, list[frozenset[str]]]:
    """Return the columns of the unique keys of each table, those of the primary key included."""
    found: dict[str, list[frozenset[str]]] = defaultdict(list)
    if names := list(tables):
        for table, columns in await connection.execute(_UNIQUE, {"tables": names}):
            found[table].append(frozenset(columns.split()))
    return found


def own_id_column(table: str, section: TableSection) -> str | None:
    """Return the column that holds the rows' own ids."""
    for name, row in section.rows.items():
        for column, value in row.items():
            if whole_name(value) == (table, name):
                return column
    return None


def keys_of(table: str, section: TableSection, unique: Iterable[frozenset[str]]) -> list[Columns]:
    """Return sets of columns, any of which shows that the tenant has a row: first those by which people know it."""
    cells = ((name, column, value) for name, row in section.rows.items() for column, value in row.items())
    own = {column for name, column, value in cells if _is_own(table, name, value)}
    usable = [name for name in section.columns if name not in own and name not in section.later]
    comparable = [name for name in usable if _COMPARABLE.match(section.columns[name])]
    keys = [_natural(section, usable, comparable)]
    for columns in unique:
        rest = columns - {section.tenant_column}
        # None is left if the table holds one row for each tenant.
        if rest <= set(comparable):
            keys.append(tuple(sorted(rest)))
    return keys


def names_thing(column: str) -> bool:
    """Return whether the column names things for people."""
    return _NAMES_THINGS.search(column) is not None


def _natural(section: TableSection, usable: Sequence[str], comparable: Sequence[str]) -> Columns:
    """Return the columns that name things and refer to rows; if the rows are alike in those, all that can."""
    names = [name for name in usable if names_thing(name) and _TEXTUAL.match(section.columns[name])]
    references = [name for name in usable if any(_refers(row.get(name)) for row in section.rows.values())]
    chosen = tuple(dict.fromkeys([*names, *references]))
    if names and _is_unique(section, chosen):
        return chosen
    return tuple(name for name in comparable if not _has_times(row.get(name) for row in section.rows.values()))


def _is_own(table: str, name: str, value: Any) -> bool:
    found = whole_name(value)
    return found is not None and found[:2] == (table, name)


def _refers(value: Any) -> bool:
    """Return whether the value is the id of a row."""
    found = whole_name(value)
    return found is not None and found not in {TENANT, NOW, TODAY} and not is_number(found)


def _is_unique(section: TableSection, columns: Columns) -> bool:
    keys = [tuple(json.dumps(row.get(name)) for name in columns) for row in section.rows.values()]
    return len(set(keys)) == len(keys)


def _has_times(values: Iterable[Any]) -> bool:
    texts = (text for value in values for _, text in texts_in(value))
    return any(name in {NOW, TODAY} for text in texts for name in names_in(text))
