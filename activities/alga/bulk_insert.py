"""Set-based inserts: any number of rows of a table in one statement.

The rows travel as one jsonb document, because Citus clusters take seconds to introspect array types, and a
statement of a thousand parameters can be neither prepared nor cached.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, Self
from uuid import UUID

from sqlalchemy import ColumnElement, Table, Text, bindparam, cast, column, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB, Insert, insert

from activities.alga.tables import TENANT
from activities.database.transactions import script_literal, script_text, set_setting, setting

# Stands for the tenant in statements that are made once; only an id, which can't hold anything else, takes its place.
SOME_TENANT = UUID(int=0)

# None of their keys can be taken: they are nothing but ids derived from that of a tenant that did not exist. Looking
# all the same costs a seventh of the time that their 600 rows take.
SURE = frozenset({"permissions", "role_permissions"})
# Whose key is taken must not go unnoticed.
DECIDING = frozenset({"tenants"})


@dataclass(frozen=True)
class TableRows:
    """Rows of one table, all of the same columns, `tenant` not among them; the others get their defaults.

    `document` is a JSON array of objects.
    """

    table: Table
    columns: tuple[str, ...]
    document: str

    @classmethod
    def of(cls, table: Table, rows: Sequence[dict[str, Any]]) -> Self:
        """Rows as Python has them. Raises `ValueError` for differing columns, `TypeError` for what JSON can't."""
        columns = tuple(rows[0])
        if any(tuple(row) != columns for row in rows):
            raise ValueError(f"the rows for {table.name} differ in their columns")
        return cls(table, columns, to_json(rows))


def to_json(value: Any) -> str:
    """A value's JSON text; ids, decimals and dates are texts in it."""
    return json.dumps(value, default=_json)


def document_settings(records: Sequence[TableRows]) -> tuple[tuple[ColumnElement[bool], ...], dict[str, str]]:
    """Return expressions that make the rows known to the scripts of the transaction, and the values they take.

    Raises `ValueError` if two of the records are of one table.
    """
    names = tuple(rows.table.name for rows in records)
    if len(set(names)) < len(names):
        raise ValueError(f"rows of one table are given twice: {names}")
    return _settings(names), {_parameter(rows.table.name): rows.document for rows in records}


def insert_script(tenant_id: UUID, records: Iterable[TableRows], *, from_settings: bool = False) -> list[str]:
    """Return statements that insert rows of one tenant, one a table.

    The rows are spelled in the statements, which a server may log. Those with secrets are taken `from_settings`: see
    `document_settings`.
    """
    return [_insert_text(rows, tenant_id, from_settings=from_settings) for rows in records]


@cache
def _settings(names: tuple[str, ...]) -> tuple[ColumnElement[bool], ...]:
    return tuple(set_setting(name, bindparam(_parameter(name), type_=Text)) for name in names)


def _parameter(table: str) -> str:
    return f"rows_{table}"


def _insert_text(rows: TableRows, tenant_id: UUID, *, from_settings: bool) -> str:
    text = _template(rows.table, rows.columns).replace(str(SOME_TENANT), str(tenant_id))
    return text if from_settings else text.replace(str(setting(rows.table.name)), script_literal(rows.document))


@cache
def _template(table: Table, columns: tuple[str, ...]) -> str:
    # A constant and no setting, so that Citus sees which shard it is about.
    tenant: ColumnElement[UUID] = literal_column(f"'{SOME_TENANT}'::uuid")
    statement = _insert(table, columns, tenant, setting(table.name))
    return script_text(statement if table.name in {*SURE, *DECIDING} else statement.on_conflict_do_nothing())


def _insert(
    table: Table, columns: tuple[str, ...], tenant: ColumnElement[UUID], document: ColumnElement[str]
) -> Insert:
    types = [column(name, table.c[name].type) for name in columns]
    records = (
        func.jsonb_to_recordset(cast(document, JSONB)).table_valued(*types).render_derived(name="r", with_types=True)
    )
    source = select(tenant, *(records.c[name] for name in columns))
    return insert(table).from_select([TENANT, *columns], source, include_defaults=False)


def _json(value: object) -> str:
    if isinstance(value, UUID | Decimal | date):
        return str(value)
    raise TypeError(f"a {type(value).__name__} is not JSON serializable")
