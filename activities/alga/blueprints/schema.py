"""Compares the tables and columns of a blueprint's `rows` with a live database."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.blueprints.model import TableSection
from activities.alga.schema_check import CATALOGUE, type_family

_Columns = Mapping[str, Row[Any]]


class Misfit(NamedTuple):
    """What does not fit the database; `path` leads to the part of the blueprint."""

    path: tuple[str | int, ...]
    reason: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: {self.reason}"


async def find_misfits(connection: AsyncConnection, blueprint: Blueprint) -> list[Misfit]:
    """Return why rows of the blueprint can't be inserted into the current schema."""
    sections = blueprint.model.rows
    if not sections:
        return []
    live: dict[str, dict[str, Row[Any]]] = defaultdict(dict)
    for row in await connection.execute(CATALOGUE):
        if row.table in sections:
            live[row.table][row.name] = row
    return [misfit for table, section in sections.items() for misfit in _misfits(table, section, live.get(table))]


def _misfits(table: str, section: TableSection, live: _Columns | None) -> Iterator[Misfit]:
    path = ("rows", table)
    if live is None:
        yield Misfit(path, "the database has no such table; remove it, or run Alga's migrations")
        return
    tenant = live.get(section.tenant_column)
    expected = "uuid" if section.tenant_type == "uuid" else "text"
    if tenant is None or type_family(tenant.type) != expected:
        found = "has no such column" if tenant is None else f"has it as {tenant.type}"
        yield Misfit(
            (*path, "tenant_column"), f"{section.tenant_column} must be of type {expected}; the table {found}"
        )
    for name, type_ in section.columns.items():
        yield from _column_misfits((*path, "columns", name), type_, live.get(name))
    for name, column in live.items():
        if not column.not_null or name == section.tenant_column:
            continue
        if name not in section.columns:
            if not column.fills_itself:
                yield Misfit((*path, "columns"), f"{name} is missing, which must be given and has no default")
            continue
        for row, values in section.rows.items():
            if values.get(name) is None:
                yield Misfit((*path, "rows", row), f"{name} is missing, which must not be NULL")


def _column_misfits(path: tuple[str, ...], type_: str, column: Row[Any] | None) -> Iterator[Misfit]:
    if column is None:
        yield Misfit(path, "the table has no such column; remove it, or run Alga's migrations")
    elif column.is_generated:
        yield Misfit(path, "the database computes this column, so it can't be written")
    elif type_family(type_) != type_family(column.type):
        yield Misfit(path, f"is {type_} here, but {column.type} in the database")
