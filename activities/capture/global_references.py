"""Finds references of a blueprint's rows to rows of no tenant that a database does not have."""

from collections import defaultdict
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.blueprints.schema import Misfit
from activities.purge.catalogue import Catalogue, ForeignKey, read_catalogue

_Path = tuple[str | int, ...]


async def find_missing_references(connection: AsyncConnection, blueprint: Blueprint) -> list[Misfit]:
    """Return references to global rows that don't exist; Alga's ids of them may differ between installations."""
    if not blueprint.model.rows:
        return []
    found = []
    for key in _global_keys(await read_catalogue(connection), blueprint):
        for mine, theirs in zip(key.columns, key.parent_columns, strict=True):
            places = _values(blueprint, key.child, mine)
            known = await _existing(connection, key.parent, theirs, list(places))
            for value in sorted(places.keys() - known):
                reason = f"{key.parent} has no row whose {theirs} is {value}; its ids differ between installations"
                found += [Misfit(path, reason) for path in places[value]]
    return found


def _global_keys(catalogue: Catalogue, blueprint: Blueprint) -> Iterator[ForeignKey]:
    for key in catalogue.foreign_keys:
        if key.child in blueprint.model.rows and catalogue.tables[key.parent].tenant is None:
            yield key


def _values(blueprint: Blueprint, table: str, column: str) -> dict[str, list[_Path]]:
    places: dict[str, list[_Path]] = defaultdict(list)
    for name, row in blueprint.model.rows[table].rows.items():
        if row.get(column) is not None:
            places[str(row[column])].append(("rows", table, "rows", name, column))
    return places


async def _existing(connection: AsyncConnection, table: str, column: str, values: list[str]) -> set[str]:
    key = sa.cast(sa.column(column), sa.Text)
    query = sa.select(key).select_from(sa.table(table, sa.column(column))).where(key.in_(values))
    return set(await connection.scalars(query)) if values else set()
