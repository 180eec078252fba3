"""Finds which of a blueprint's rows of any table a tenant lacks.

Nothing says by which columns people know such rows. So those are taken that name things, together with the rows that
they refer to, and if there are none, all that can be compared. What belongs to a thing that the tenant has made
itself, under the same name, is left out.
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
from activities.alga.blueprints.symbols import NOW, TENANT, TODAY, is_number, names_in, texts_in, whole_name
from activities.alga.bulk_insert import TableRows, tenant_column
from activities.database.transactions import Statement
from activities.product_changes.live_tables import PRODUCT_CHANGE_INCOMPLETE
from activities.product_changes.matching import BlueprintMatching, TenantRows
from activities.product_changes.plan import Addition, Part, Plan, Row
from activities.product_changes.provisioned import provisioned_ids
from workflows.operations.messages import OperationWarning
from workflows.tenants.steps import APPLY_BLUEPRINT

_NAMES_THINGS = re.compile(r"(^|_)(name|title|slug|code)$|^key$")
_COMPARABLE = re.compile(r"(text|character varying|character|uuid|integer|bigint|smallint|boolean)\b(?!.*\[\])")
_TEXTUAL = re.compile(r"(text|character varying|character)\b(?!.*\[\])")
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class _Wanted:
    """A row of the blueprint as the tenant would get it, with the ids of the tenant's own rows in its references."""

    text: str
    values: Row
    own_id: str | None


class SectionMatching:
    """Plans the rows of a blueprint's `rows` that the tenant lacks."""

    def __init__(self, rows: TenantRows, matching: BlueprintMatching, plan: Plan) -> None:
        self._rows = rows
        self._matching = matching
        self._plan = plan
        self._ids = {str(wanted): str(actual) for wanted, actual in matching.ids.items()}
        self._added: set[str] = set()
        # The ids of rows that the tenant has made itself.
        self._foreign: set[str] = set()

    async def run(self, blueprint: Blueprint, now: datetime) -> None:
        """Plan the rows, and the references between them that are written later."""
        tenant_id = self._rows.tenant_id
        sections = list(blueprint.section_rows.tables(tenant_id, now))
        mentioned = {found for _, rows in sections for found in _ID.findall(rows.document)}
        self._ids |= await provisioned_ids(self._rows, self._matching, mentioned)
        for section, rows in sections:
            await self._match(section, rows)
        for clause, ids in blueprint.section_rows.updates(tenant_id):
            if ids["own_id"] in self._added:
                given = {name: self._ids.get(value, value) for name, value in ids.items()}
                self._plan.links.append(Statement(clause, {"tenant_id": tenant_id, **given}))

    async def _match(self, section: TableSection, rows: TableRows) -> None:
        own, columns = _own_id_column(rows.table.name, section), _key_columns(section)
        by_key: dict[tuple[str | None, ...], list[str | None]] = defaultdict(list)
        taken: set[str] = set()
        for row in await self._existing(rows.table, [*columns, *([own] if own else [])]):
            by_key[tuple(row[name] for name in columns)].append(row[own] if own else None)
            taken |= {row[own]} if own else set()
        missing: list[_Wanted] = []
        left_out = 0
        for wanted in self._wanted(rows, own):
            found = by_key.get(tuple(_text(wanted.values[name]) for name in columns))
            if found:
                self._use(wanted, found)
            elif self._belongs_to_foreign(wanted, section):
                left_out += 1
                self._foreign |= {wanted.own_id} if wanted.own_id else set()
            else:
                missing.append(self._renumbered(wanted, taken))
        if missing:
            document = f"[{','.join(row.text for row in missing)}]"
            labels = [_label(row.values, columns) for row in missing]
            part = Part.of(rows.table, labels)
            self._plan.additions.append(
                Addition(APPLY_BLUEPRINT, part, TableRows(rows.table, rows.columns, document))
            )
        if left_out:
            detail = (
                f"{left_out} rows of {rows.table.name} were left out, because they belong to what the tenant has "
                "made itself under the same name; compare it with that of a new tenant"
            )
            self._plan.warnings.append(OperationWarning(code=PRODUCT_CHANGE_INCOMPLETE, detail=detail))

    async def _existing(self, table: Table, columns: Sequence[str]) -> list[Row]:
        tenant, tenant_id = tenant_column(table), self._rows.tenant_id
        is_own = tenant == (str(tenant_id) if isinstance(tenant.type, String) else tenant_id)
        query = select(*(cast(table.c[name], Text).label(name) for name in columns)).where(is_own)
        return [dict(row) for row in (await self._rows.connection.execute(query)).mappings()]

    def _wanted(self, rows: TableRows, own: str | None) -> Iterator[_Wanted]:
        for text in _texts(rows.document):
            own_id = json.loads(text)[own] if own else None
            replaced = _ID.sub(lambda found: self._ids.get(found[0], found[0]), text)
            yield _Wanted(replaced, json.loads(replaced), own_id)

    def _use(self, wanted: _Wanted, found: list[str | None]) -> None:
        """Let a row of the tenant stand for the wanted one; each stands for one."""
        if wanted.own_id is None:
            found.pop()
            return
        chosen = wanted.own_id if wanted.own_id in found else min(filter(None, found))
        found.remove(chosen)
        self._ids[wanted.own_id] = chosen
        if chosen != wanted.own_id:
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


def _own_id_column(table: str, section: TableSection) -> str | None:
    """Return the column that holds the rows' own ids."""
    for name, row in section.rows.items():
        for column, value in row.items():
            if whole_name(value) == (table, name):
                return column
    return None


def _key_columns(section: TableSection) -> list[str]:
    """Return the columns by which rows are compared, the first of which that name things."""
    own = {column for name, row in section.rows.items() for column, value in row.items() if _is_own(name, value)}
    usable = [name for name in section.columns if name not in own and name not in section.later]
    names = [name for name in usable if _NAMES_THINGS.search(name) and _TEXTUAL.match(section.columns[name])]
    references = [name for name in usable if any(_refers(row.get(name)) for row in section.rows.values())]
    chosen = list(dict.fromkeys([*names, *references]))
    if names and _is_unique(section, chosen):
        return chosen
    return [
        name
        for name in usable
        if _COMPARABLE.match(section.columns[name])
        and not _has_times([row.get(name) for row in section.rows.values()])
    ]


def _is_own(name: str, value: Any) -> bool:
    found = whole_name(value)
    return found is not None and len(found) > 1 and found[1] == name


def _refers(value: Any) -> bool:
    """Return whether the value is the id of a row."""
    found = whole_name(value)
    return found is not None and found not in {TENANT, NOW, TODAY} and not is_number(found)


def _is_unique(section: TableSection, columns: Sequence[str]) -> bool:
    keys = [tuple(json.dumps(row.get(name)) for name in columns) for row in section.rows.values()]
    return len(set(keys)) == len(keys)


def _has_times(values: Sequence[Any]) -> bool:
    texts = (text for value in values for _, text in texts_in(value))
    return any(name in {NOW, TODAY} for text in texts for name in names_in(text))


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


def _label(values: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Return what names the row for people."""
    named = [str(values[name]) for name in columns if _NAMES_THINGS.search(name) and values[name]]
    return named[0] if named else "a row without a name"
