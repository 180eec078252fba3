"""Finds which rows of a blueprint a tenant lacks, and which of its own rows stand for those that it has.

Rows are compared by their natural keys: ids differ if Alga itself has made the tenant, and the row that once had an
id may have another name today.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga import tables
from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.bulk_insert import TableRows, tenant_column
from activities.alga.ids import derived_id
from activities.product_changes.natural_keys import NATURAL_KEYS, Key, NaturalKey
from activities.product_changes.plan import Plan, Row
from workflows.tenants.steps import APPLY_BLUEPRINT, GRANT_RIGHTS

_ROLES, _PERMISSIONS = NATURAL_KEYS[tables.roles.name], NATURAL_KEYS[tables.permissions.name]


class TenantRows:
    """Reads rows of one tenant, one table at a time: a tenant's tables need not be on one node of a Citus cluster."""

    def __init__(self, connection: AsyncConnection, tenant_id: UUID) -> None:
        self.connection = connection
        self.tenant_id = tenant_id

    async def read(self, table: Table, *columns: str, where: Sequence[Any] = ()) -> list[Row]:
        """Return the tenant's rows of a table as mappings."""
        query = select(*(table.c[name] for name in columns))
        found = await self.connection.execute(query.where(tenant_column(table) == self.tenant_id, *where))
        return [dict(row) for row in found.mappings()]

    def free_id(self, taken: Container[UUID], *name: str) -> UUID:
        """Return the id of a symbolic name; if a row that people have renamed has it, of the name with a number."""
        made, number = derived_id(self.tenant_id, *name), 1
        while made in taken:
            number += 1
            made = derived_id(self.tenant_id, *name, str(number))
        return made


class BlueprintMatching:
    """Plans the rows of a blueprint that the tenant lacks. `ids` are those of its own rows by the blueprint's ids."""

    def __init__(self, rows: TenantRows, plan: Plan) -> None:
        self._rows = rows
        self._plan = plan
        self.ids: dict[UUID, UUID] = {}
        self._labels: dict[UUID, str] = {}
        self._roles: dict[Key, list[UUID]] = defaultdict(list)
        self.added: dict[str, list[Row]] = {}
        """The rows to add by table."""

    async def run(self, blueprint: Blueprint, today: date) -> None:
        """Plan the rows and the grants; tax rates are valid from `today`."""
        for wanted in blueprint.rows(self._rows.tenant_id, today):
            if wanted.table.name == tables.role_permissions.name:
                await self._match_grants(wanted)
            else:
                await self._match(NATURAL_KEYS[wanted.table.name], _parsed(wanted))

    def role_ids(self, name: str) -> list[UUID]:
        """Return the ids of the roles of that name for the company's own people, also of one that is to be added."""
        return self._roles[name, True, False]

    async def _match(self, key: NaturalKey, wanted: Sequence[Row]) -> None:
        has_order = key.table.name == tables.statuses.name
        names = [*key.columns, *([key.id] if key.id else []), *(["order_number", "is_default"] if has_order else [])]
        existing = await self._rows.read(key.table, *names)
        by_key: dict[Key, list[Row]] = defaultdict(list)
        for row in existing:
            by_key[key.of(row)].append(row)
            self._note(key, row)
        taken = {row[key.id] for row in existing} if key.id else set()
        missing = []
        for row in wanted:
            found = by_key.get(key.of(row))
            if key.id is None:
                missing += [] if found else [row]
                continue
            wanted_id = UUID(row[key.id])
            if found:
                same = [candidate[key.id] for candidate in found]
                self.ids[wanted_id] = wanted_id if wanted_id in same else min(same)
                continue
            if wanted_id in taken:
                self.ids[wanted_id] = self._rows.free_id(taken, key.table.name, wanted_id.hex)
            missing.append({**row, key.id: self.ids.get(wanted_id, wanted_id)})
            self._note(key, missing[-1])
        if has_order:
            missing = _with_free_places(existing, missing)
        self.added[key.table.name] = missing
        self._plan.add(APPLY_BLUEPRINT, key.table, missing, [key.label(row) for row in missing])
        known = {key.of(row) for row in wanted}
        self._plan.stay(key.table, sorted(key.label(rows[0]) for found, rows in by_key.items() if found not in known))

    def _note(self, key: NaturalKey, row: Mapping[str, Any]) -> None:
        if key in {_ROLES, _PERMISSIONS}:
            self._labels[row[key.id or ""]] = key.label(row)
        if key is _ROLES:
            self._roles[key.of(row)].append(row["role_id"])

    async def _match_grants(self, wanted: TableRows) -> None:
        """Plan the grants that are missing; none is removed."""
        pairs = {self._pair(row): None for row in _parsed(wanted)}
        existing = [
            (row["role_id"], row["permission_id"])
            for row in await self._rows.read(wanted.table, "role_id", "permission_id")
        ]
        missing = [pair for pair in pairs if pair not in set(existing)]
        rows: list[Row] = [{"role_id": role, "permission_id": permission} for role, permission in missing]
        self._plan.add(GRANT_RIGHTS, wanted.table, rows, self._by_role(missing))
        more = [pair for pair in existing if pair not in pairs]
        self._plan.stay(wanted.table, self._by_role(more), len(more))

    def _pair(self, row: Row) -> tuple[UUID, UUID]:
        role, permission = UUID(row["role_id"]), UUID(row["permission_id"])
        return self.ids.get(role, role), self.ids.get(permission, permission)

    def _by_role(self, pairs: Iterable[tuple[UUID, UUID]]) -> list[str]:
        """Return the names of roles with their number of grants."""
        counts = Counter(self._labels.get(role, str(role)) for role, _ in pairs)
        return [f"{role}: {count} permission{'s' if count > 1 else ''}" for role, count in sorted(counts.items())]


def _parsed(rows: TableRows) -> list[Row]:
    parsed: list[Row] = json.loads(rows.document)
    return parsed


def _with_free_places(existing: Iterable[Row], missing: Sequence[Row]) -> list[Row]:
    """Return the statuses with places that no other has, in their order, and not as a second default.

    From the first one on whose place is taken, they come last.
    """
    places: dict[str, set[int]] = defaultdict(set)
    moved: set[str] = set()
    has_default: set[str] = set()
    for row in existing:
        places[row["status_type"]].add(row["order_number"])
        has_default |= {row["status_type"]} if row["is_default"] else set()
    placed = []
    for row in missing:
        kind, place = row["status_type"], row["order_number"]
        if kind in moved or place in places[kind]:
            moved.add(kind)
            place = max(places[kind]) + 1
        places[kind].add(place)
        is_default = row["is_default"] and kind not in has_default
        placed.append({**row, "order_number": place, "is_default": is_default})
    return placed
