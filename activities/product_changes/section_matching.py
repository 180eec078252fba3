"""Finds which of a blueprint's rows of any table a tenant lacks.

What belongs to a thing that the tenant has made itself, under the same name, is left out.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import String, Table, Text, cast, select

from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.blueprints.model import TableSection
from activities.alga.bulk_insert import TableRows, tenant_column
from activities.database.transactions import Statement
from activities.product_changes.matching import BlueprintMatching, TenantRows
from activities.product_changes.plan import PRODUCT_CHANGE_INCOMPLETE, Addition, Part, Plan, Row
from activities.product_changes.provisioned import provisioned_ids
from activities.product_changes.section_keys import Columns, keys_of, names_thing, own_id_column, read_unique_keys
from workflows.operations.messages import OperationWarning
from workflows.tenants.steps import APPLY_BLUEPRINT

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class _Wanted:
    """A row of the blueprint as the tenant would get it, with the ids of the tenant's own rows in its references."""

    text: str
    values: Row
    own_id: str | None


class _Existing:
    """The tenant's rows of a table, as texts. Each may stand for one row of the blueprint."""

    def __init__(self, rows: Sequence[Row], keys: Sequence[Columns]) -> None:
        self._keys = keys
        self._by_key: dict[tuple[Columns, tuple[str | None, ...]], list[Row]] = defaultdict(list)
        for row in rows:
            for columns in keys:
                self._by_key[columns, tuple(row[name] for name in columns)].append(row)
        self._used: set[int] = set()

    def take(self, values: Mapping[str, Any], own: str | None, own_id: str | None) -> Row | None:
        """Return the row that stands for the wanted one, by the first key that finds any."""
        for number, columns in enumerate(self._keys):
            key = tuple(_text(values[name]) for name in columns)
            # Rows with a null are never equal to a unique key.
            if number and None in key:
                continue
            free = [row for row in self._by_key.get((columns, key), ()) if id(row) not in self._used]
            if free:
                chosen = min(free, key=lambda row: (own is not None and row[own] != own_id, str(row.get(own or ""))))
                self._used.add(id(chosen))
                return chosen
        return None


class SectionMatching:
    """Plans the rows of a blueprint's `rows` that the tenant lacks."""

    def __init__(self, rows: TenantRows, matching: BlueprintMatching, plan: Plan) -> None:
        self._rows = rows
        self._matching = matching
        self._plan = plan
        self._ids = {str(wanted): str(actual) for wanted, actual in matching.ids.items()}
        self._added: set[str] = set()
        # The ids of rows that the tenant has made itself, and of what would belong to them.
        self._foreign: set[str] = set()

    async def run(self, blueprint: Blueprint, now: datetime) -> None:
        """Plan the rows, and the references between them that are written later."""
        tenant_id = self._rows.tenant_id
        sections = list(blueprint.section_rows.tables(tenant_id, now))
        mentioned = {found for _, rows in sections for found in _ID.findall(rows.document)}
        self._ids |= await provisioned_ids(self._rows, self._matching, mentioned)
        unique = await read_unique_keys(self._rows.connection, [rows.table.name for _, rows in sections])
        for section, rows in sections:
            keys = keys_of(rows.table.name, section, unique.get(rows.table.name, ()))
            await self._match(section, rows, keys)
        for clause, ids in blueprint.section_rows.updates(tenant_id):
            if ids["own_id"] in self._added:
                given = {name: self._ids.get(value, value) for name, value in ids.items()}
                self._plan.links.append(Statement(clause, {"tenant_id": tenant_id, **given}))

    async def _match(self, section: TableSection, rows: TableRows, keys: Sequence[Columns]) -> None:
        own = own_id_column(rows.table.name, section)
        columns = dict.fromkeys([*(name for key in keys for name in key), *([own] if own else [])])
        found = await self._read(rows.table, list(columns))
        existing = _Existing(found, keys)
        taken = {row[own] for row in found} if own else set()
        missing: list[_Wanted] = []
        left_out = 0
        for wanted in self._wanted(rows, own):
            if (row := existing.take(wanted.values, own, wanted.own_id)) is not None:
                self._use(wanted, row[own] if own else None)
            elif self._belongs_to_foreign(wanted, section):
                left_out += 1
                self._foreign |= {wanted.own_id} if wanted.own_id else set()
            else:
                missing.append(self._renumbered(wanted, taken))
        if missing:
            document = f"[{','.join(row.text for row in missing)}]"
            part = Part.of(rows.table, [_label(row.values, keys[0]) for row in missing])
            added = TableRows(rows.table, rows.columns, document)
            self._plan.additions.append(Addition(APPLY_BLUEPRINT, part, added))
        if left_out:
            detail = (
                f"rows of {rows.table.name} were left out ({left_out}), because they belong to what the tenant has "
                "made itself under the same name; compare it with that of a new tenant"
            )
            self._plan.warnings.append(OperationWarning(code=PRODUCT_CHANGE_INCOMPLETE, detail=detail))

    async def _read(self, table: Table, columns: Sequence[str]) -> list[Row]:
        tenant, tenant_id = tenant_column(table), self._rows.tenant_id
        is_own = tenant == (str(tenant_id) if isinstance(tenant.type, String) else tenant_id)
        query = select(tenant, *(cast(table.c[name], Text).label(name) for name in columns)).where(is_own)
        return [dict(row) for row in (await self._rows.connection.execute(query)).mappings()]

    def _wanted(self, rows: TableRows, own: str | None) -> Iterator[_Wanted]:
        for text in _texts(rows.document):
            own_id = json.loads(text)[own] if own else None
            replaced = _ID.sub(lambda found: self._ids.get(found[0], found[0]), text)
            yield _Wanted(replaced, json.loads(replaced), own_id)

    def _use(self, wanted: _Wanted, chosen: str | None) -> None:
        """Let a row of the tenant stand for the wanted one."""
        if wanted.own_id is None or chosen is None or chosen == wanted.own_id:
            return
        self._ids[wanted.own_id] = chosen
        self._foreign.add(chosen)

    def _belongs_to_foreign(self, wanted: _Wanted, section: TableSection) -> bool:
        values = (value for name, value in wanted.values.items() if name not in section.later)
        return any(isinstance(value, str) and value in self._foreign for value in values)

    def _renumbered(self, wanted: _Wanted, taken: set[str]) -> _Wanted:
        """Return the row with an id that no other has."""
        if wanted.own_id is None:
            return wanted
        self._added.add(wanted.own_id)
        if wanted.own_id not in taken:
            return wanted
        ids = {UUID(value) for value in taken if _ID.fullmatch(value)}
        fresh = str(self._rows.free_id(ids, "row", wanted.own_id))
        self._ids[wanted.own_id] = fresh
        text = wanted.text.replace(wanted.own_id, fresh)
        return _Wanted(text, json.loads(text), wanted.own_id)


def _texts(document: str) -> Iterator[str]:
    """Yield the text of each object of a JSON array, so that numbers keep their digits."""
    position = 1
    while document[position] != "]":
        _, end = _DECODER.raw_decode(document, position)
        yield document[position:end]
        position = end + 1 if document[end] == "," else end


def _text(value: Any) -> str | None:
    """Return a value as PostgreSQL casts it to text."""
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _label(values: Mapping[str, Any], columns: Columns) -> str:
    """Return what names the row for people."""
    named = [str(values[name]) for name in columns if names_thing(name) and values[name]]
    return named[0] if named else "a row without a name"
