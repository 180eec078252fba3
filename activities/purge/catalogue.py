"""What the live database's catalogue says about tenants: whose rows are where, and which keys tie them together."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.errors import FinalError
from activities.purge.catalogue_queries import FOREIGN_KEYS, TABLES
from activities.purge.deletion_order import Edge, UncuttableCycleError, children_first
from activities.purge.triggers import Trigger, read_triggers

TENANT_COLUMNS = ("tenant", "tenant_id")
OWN_SCHEMA = "alga_tenants"


class CatalogueError(FinalError):
    """The database's structure leaves no safe way to tell a tenant's rows, or to delete them."""

    def __init__(self, detail: str) -> None:
        super().__init__("database-mismatch", detail)


class TenantType(StrEnum):
    """The type of a tenant column, by PostgreSQL's name; a value is bound with it so that indexes serve."""

    UUID = "uuid"
    VARCHAR = "varchar"
    TEXT = "text"


class DeleteAction(StrEnum):
    """What a key does with the referencing rows when the referenced row is deleted (`pg_constraint.confdeltype`)."""

    NO_ACTION = "a"
    RESTRICT = "r"
    CASCADE = "c"
    SET_NULL = "n"
    SET_DEFAULT = "d"


class CutKind(StrEnum):
    """How a key is kept from standing in the way: its column cleared first, checked last, or left to cascade."""

    CLEAR = "clear"
    DEFER = "defer"
    CASCADE = "cascade"


@dataclass(frozen=True)
class TenantColumn:
    """The column that says whose a row is; NULL, where it may be, says nobody's in particular."""

    name: str
    type: TenantType
    nullable: bool


@dataclass(frozen=True)
class Table:
    """A table; `label` is what the reading session's search path calls it, and its key in a catalogue."""

    schema: str
    name: str
    label: str
    tenant: TenantColumn | None


@dataclass(frozen=True)
class ForeignKey:
    """A reference from `child` to `parent`, both labels of tables.

    `set_columns` are those that ON DELETE SET NULL or SET DEFAULT changes. Setting `clearable` to NULL undoes the
    reference, unless a CHECK that mentions them (`guarded`) objects. A key that is not `declared` is no constraint:
    its column's name says what it means.
    """

    name: str
    child: str
    parent: str
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]
    on_delete: DeleteAction = DeleteAction.NO_ACTION
    set_columns: tuple[str, ...] = ()
    clearable: tuple[str, ...] = ()
    guarded: bool = False
    deferrable: bool = False
    declared: bool = True


@dataclass(frozen=True)
class Cut:
    """A key that the order of deletion does not respect, and what is done about it."""

    key: ForeignKey
    kind: CutKind


@dataclass(frozen=True)
class DeletionPlan:
    """All tables that can hold a tenant's rows, children before parents, and the keys that this order gives up."""

    order: tuple[Table, ...]
    cuts: tuple[Cut, ...]


@dataclass(frozen=True)
class Catalogue:
    """Every table by label, the foreign keys onto tables in reach, and the tables that hang on a tenant's rows.

    `child_tables` have no tenant column; each has the keys by which its rows belong to those of a tenant's table,
    or of another child table that is a hop nearer to one. One such key that matches makes a row the tenant's.
    `triggers` are those that fire when rows are deleted or updated, by the label of their table.
    """

    tables: Mapping[str, Table]
    foreign_keys: tuple[ForeignKey, ...]
    child_tables: Mapping[str, tuple[ForeignKey, ...]]
    triggers: Mapping[str, tuple[Trigger, ...]] = field(default_factory=dict)

    @cached_property
    def tenant_tables(self) -> tuple[Table, ...]:
        """The tables with a tenant column, by label."""
        return tuple(self.tables[label] for label in sorted(self.tables) if self.tables[label].tenant)

    def deletion_plan(self) -> DeletionPlan:
        """An order in which one tenant's rows can be deleted; the same database always gives the same one.

        A reference inside one table asks for nothing, RESTRICT included: PostgreSQL checks it after the statement
        that deletes all the rows. Raises `CatalogueError` where tables reference each other in a circle that
        can't be cut.
        """
        labels = {table.label for table in self.tenant_tables} | set(self.child_tables)
        keys: dict[tuple[str, str], set[ForeignKey]] = defaultdict(set)
        for key in (*self.foreign_keys, *self._links):
            if key.child in labels and key.parent in labels:
                keys[key.child, key.parent].add(key)
        edges = [Edge(*pair, cost=self._cost(group)) for pair, group in keys.items()]
        try:
            order, given_up = children_first(labels, edges)
        except UncuttableCycleError as error:
            raise CatalogueError(
                f"these tables reference each other in a way that can't be undone: {error}"
            ) from error
        cuts = [cut for edge in given_up for key in keys[edge.child, edge.parent] if (cut := self._cut(key))]
        return DeletionPlan(
            order=tuple(self.tables[label] for label in order),
            cuts=tuple(sorted(cuts, key=lambda cut: (cut.key.child, cut.key.name))),
        )

    @cached_property
    def _links(self) -> frozenset[ForeignKey]:
        return frozenset(key for keys in self.child_tables.values() for key in keys)

    def _cut(self, key: ForeignKey) -> Cut | None:
        """The gentlest way to do without the key; none for one that tells whose a row is."""
        if key in self._links:
            return None
        if key.clearable:
            return Cut(key, CutKind.CLEAR)
        if key.deferrable and key.on_delete is DeleteAction.NO_ACTION:
            return Cut(key, CutKind.DEFER)
        return Cut(key, CutKind.CASCADE) if key.on_delete is DeleteAction.CASCADE else None

    def _cost(self, keys: Iterable[ForeignKey]) -> int | None:
        """What it takes to do without all of the keys: a statement each, and more where a CHECK may object."""
        cost = 0
        for key in keys:
            cut = self._cut(key)
            if cut is None:
                return None
            cost += 10 if cut.kind is CutKind.CLEAR and key.guarded else 1
        return cost


async def read_catalogue(connection: AsyncConnection) -> Catalogue:
    """Read the structure of the schemas on the connection's search path, our own excepted.

    Tenant-scoped is a table with a column `tenant`, or else `tenant_id`; where both are, `tenant_id` is somebody
    else's. Raises `CatalogueError` where such a column can't hold a tenant's id.
    """
    rows = [(row.oid, row, json.loads(row.columns)) for row in await connection.execute(TABLES, {"own": OWN_SCHEMA})]
    tables = {oid: _table(row, columns) for oid, row, columns in rows}
    in_reach = {oid for oid, row, _ in rows if row.in_reach}
    keys = tuple(
        _foreign_key(row, tables)
        for row in await connection.execute(FOREIGN_KEYS)
        if row.child in tables and row.parent in in_reach
    )
    columns_in_reach = {tables[oid].label: columns for oid, _, columns in rows if oid in in_reach}
    by_label = {table.label: table for table in tables.values()}
    named = _keys_by_name(by_label, columns_in_reach, keys)
    own = (key for key in (*keys, *named) if key.child in columns_in_reach)
    triggers = await read_triggers(connection)
    guarded = {tables[oid].label: found for oid, found in triggers.items() if oid in tables}
    return Catalogue(by_label, keys, _child_tables(by_label, own), guarded)


def _table(row: Any, columns: list[dict[str, Any]]) -> Table:
    tenant = None
    found = {column["name"]: column for column in columns if column["name"] in TENANT_COLUMNS}
    if row.in_reach and found:
        column = found[min(found)]
        if column["type"] not in set(TenantType):
            raise CatalogueError(f"column {column['name']} of table {row.label} is of type {column['type']}")
        tenant = TenantColumn(column["name"], TenantType(column["type"]), column["nullable"])
    return Table(row.schema, row.name, row.label, tenant)


def _foreign_key(row: Any, tables: Mapping[int, Table]) -> ForeignKey:
    child, pairs = tables[row.child], json.loads(row.pairs)
    tenant = child.tenant.name if child.tenant else None
    open_pairs = [pair for pair in pairs if pair["nullable"] and pair["child"] != tenant]
    open_pairs.sort(key=lambda pair: pair["checked"])
    if row.match_full and len(open_pairs) < len(pairs):
        open_pairs = []
    cleared = open_pairs if row.match_full else open_pairs[:1]
    return ForeignKey(
        name=row.name,
        child=child.label,
        parent=tables[row.parent].label,
        columns=tuple(pair["child"] for pair in pairs),
        parent_columns=tuple(pair["parent"] for pair in pairs),
        on_delete=DeleteAction(row.on_delete),
        set_columns=tuple(pair["child"] for pair in pairs if pair["set"]),
        clearable=tuple(pair["child"] for pair in cleared),
        guarded=any(pair["checked"] for pair in cleared),
        deferrable=row.deferrable,
    )


def _keys_by_name(
    tables: Mapping[str, Table], columns: Mapping[str, list[dict[str, Any]]], keys: Iterable[ForeignKey]
) -> Iterator[ForeignKey]:
    """References that are no constraints: Citus allows none from a table without tenant column to one with it.

    A uuid column of such a table counts as one when it is named like the one column, besides the tenant, of the
    primary key of exactly one tenant's table, and is not its own table's whole primary key. A uuid that matches
    by chance is not to be feared.
    """
    owners: dict[str, list[str]] = defaultdict(list)
    for label, own in columns.items():
        if tenant := tables[label].tenant:
            rest = [column for column in own if column["key"] and column["name"] != tenant.name]
            if len(rest) == 1 and rest[0]["type"] == "uuid":
                owners[rest[0]["name"]].append(label)
    declared = {(key.child, key.columns) for key in keys}
    for label, own in columns.items():
        whole_key = [column["name"] for column in own if column["key"]]
        for name in [column["name"] for column in own if column["type"] == "uuid"]:
            known = tables[label].tenant or whole_key == [name] or (label, (name,)) in declared
            if not known and len(owners[name]) == 1:
                yield ForeignKey(f"{label}.{name}", label, owners[name][0], (name,), (name,), declared=False)


def _child_tables(tables: Mapping[str, Table], keys: Iterable[ForeignKey]) -> dict[str, tuple[ForeignKey, ...]]:
    """Tables without tenant column that lead to one with it, hop by hop.

    A row whose reference is merely cleared when the tenant's row goes does not belong to the tenant.
    """
    candidates: dict[str, list[ForeignKey]] = defaultdict(list)
    for key in keys:
        if not tables[key.child].tenant and key.on_delete not in {DeleteAction.SET_NULL, DeleteAction.SET_DEFAULT}:
            candidates[key.child].append(key)
    owned = {label for label, table in tables.items() if table.tenant}
    found: dict[str, tuple[ForeignKey, ...]] = {}
    while True:
        nearer = {
            child: leading
            for child, own in candidates.items()
            if child not in owned and (leading := tuple(key for key in own if key.parent in owned))
        }
        if not nearer:
            return found
        found |= nearer
        owned |= nearer.keys()
