"""Makes the rows of a blueprint's `rows`, and the statements that insert them."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Column, MetaData, String, Table, Text, Update, Uuid, bindparam, cast, update
from sqlalchemy.types import UserDefinedType

from activities.alga.blueprints.model import TableSection
from activities.alga.blueprints.symbols import NOW, TENANT, TODAY, Name, is_number, replace, whole_name
from activities.alga.bulk_insert import MUST_BE_NEW, TableRows, insert_statement, tenant_column
from activities.alga.ids import derived_id
from activities.alga.row_templates import CreationDay, CreationTime, DerivedId, Gap, RowTemplates, TenantId
from activities.database.transactions import Statement

ROW = "row"
"""Begins the names from which the ids of these rows are derived."""

_COMMON: Mapping[Name, Gap] = {TENANT: TenantId(), NOW: CreationTime(), TODAY: CreationDay()}


class SqlType(UserDefinedType[Any]):
    """A type by its name in SQL."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        """Return the name."""
        return self.name


class SectionRows:
    """The rows of a blueprint's table sections, as each new tenant gets them."""

    def __init__(self, sections: Mapping[str, TableSection]) -> None:
        self._sections = {table: section for table, section in sections.items() if section.rows}
        self._templates = RowTemplates()
        self._later: list[tuple[Update, dict[str, Name]]] = []
        for name, section in self._sections.items():
            table = _table(name, section)
            self._templates.add(table, [self._prepared(section, row) for row in section.rows.values()])
            self._later += self._updates(section, table)

    def statements(self, tenant_id: UUID, created_at: datetime) -> Iterator[Statement]:
        """Yield the statements: one for each table, and one for each row with references that are written later."""
        for _, rows in self.tables(tenant_id, created_at):
            yield insert_statement(tenant_id, rows)
        for clause, ids in self.updates(tenant_id):
            yield Statement(clause, {"tenant_id": tenant_id, **ids})

    def tables(self, tenant_id: UUID, created_at: datetime) -> Iterator[tuple[TableSection, TableRows]]:
        """Yield each section with the tenant's rows, in an order in which they can be inserted."""
        yield from zip(self._sections.values(), self._templates.fill(tenant_id, created_at), strict=True)

    def updates(self, tenant_id: UUID) -> Iterator[tuple[Update, dict[str, str]]]:
        """Yield the statements for references that are written later, with ids: the row's own one is `own_id`."""
        for clause, names in self._later:
            yield clause, {parameter: str(derived_id(tenant_id, *name)) for parameter, name in names.items()}

    def _prepared(self, section: TableSection, row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            column: None if column in section.later else self._marked(row.get(column)) for column in section.columns
        }

    def _marked(self, value: Any) -> Any:
        match value:
            case str():
                return replace(value, self._mark)
            case dict():
                return {self._marked(key): self._marked(item) for key, item in value.items()}
            case list():
                return [self._marked(item) for item in value]
        return value

    def _mark(self, name: Name) -> str:
        return self._templates.mark_number(name[1]) if is_number(name) else self._templates.mark(self._gap(name))

    def _gap(self, name: Name) -> Gap:
        return _COMMON.get(name) or DerivedId(self._full(name), dashed=True)

    def _full(self, name: Name) -> Name:
        section = self._sections.get(name[0])
        return (ROW, *name) if section is not None and name[1] in section.rows else name

    def _updates(self, section: TableSection, table: Table) -> Iterator[tuple[Update, dict[str, Name]]]:
        for row in section.rows.values():
            targets = {column: target for column in section.later if (target := whole_name(row.get(column)))}
            own = whole_name(row.get(section.id_column or ""))
            if targets and own is not None and section.id_column is not None:
                names = {f"later_{number}": self._full(target) for number, target in enumerate(targets.values())}
                yield _update(table, section.id_column, tuple(targets)), {"own_id": self._full(own), **names}


@cache
def _update(table: Table, own: str, columns: tuple[str, ...]) -> Update:
    """Return the statement that sets references of one row; Citus routes it by the tenant."""

    def value(name: str, column: str) -> Any:
        return cast(bindparam(name, type_=Text), table.c[column].type)

    tenant = tenant_column(table)
    return (
        update(table)
        .where(tenant == bindparam("tenant_id", type_=tenant.type), table.c[own] == value("own_id", own))
        .values({column: value(f"later_{number}", column) for number, column in enumerate(columns)})
    )


def _table(name: str, section: TableSection) -> Table:
    # The id is sent as a constant, which PostgreSQL converts to any type of text.
    tenant = Column(section.tenant_column, Uuid if section.tenant_type == "uuid" else String)
    columns = [Column(column, SqlType(type_)) for column, type_ in section.columns.items()]
    info = {"tenant_column": section.tenant_column, MUST_BE_NEW: True}
    return Table(name, MetaData(), tenant, *columns, info=info)
