"""What the live database's catalogue says about tenants: which tables hold their rows, and which keys link them."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
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
    """The database's structure gives no safe way to identify a tenant's rows, or to delete them."""

    def __init__(self, detail: str) -> None:
        super().__init__("database-mismatch", detail)


class TenantType(StrEnum):
    """The type of a tenant column, by PostgreSQL's name; values are bound with it so that indexes are used."""

    UUID = "uuid"
    VARCHAR = "varchar"
    TEXT = "text"


class DeleteAction(StrEnum):
    """What happens to referencing rows when the referenced row is deleted (`pg_constraint.confdeltype`)."""

    NO_ACTION = "a"
    RESTRICT = "r"
    CASCADE = "c"
    SET_NULL = "n"
    SET_DEFAULT = "d"


HARMLESS_ACTIONS = frozenset({DeleteAction.NO_ACTION, DeleteAction.RESTRICT})


class CutKind(StrEnum):
    """How to break a foreign key: clear its column first, defer its check, or let it cascade."""

    CLEAR = "clear"
    DEFER = "defer"
    CASCADE = "cascade"


@dataclass(frozen=True)
class TenantColumn:
    """The column that names the tenant that owns a row; NULL means none in particular."""

    name: str
    type: TenantType
    nullable: bool


@dataclass(frozen=True)
class Table:
    """A table; `label` is its name as the session's search path shows it, and its key in a catalogue."""

    schema: str
    name: str
    label: str
    tenant: TenantColumn | None


@dataclass(frozen=True)
class ForeignKey:
    """A reference from `child` to `parent`, both labels of tables.

    Setting the columns `clearable` to NULL removes the reference, unless a CHECK that mentions them (`guarded`)
    refuses. A key that is not `declared` is no constraint; it is inferred from its column's name. Without an index
    that begins with its columns (`indexed`), the database reads the child for each deleted row of the parent.
    """

    name: str
    child: str
    parent: str
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]
    on_delete: DeleteAction = DeleteAction.NO_ACTION
    clearable: tuple[str, ...] = ()
    guarded: bool = False
    deferrable: bool = False
    declared: bool = True
    indexed: bool = True


@dataclass(frozen=True)
class Cut:
    """A key that the order of deletion violates, and how it is broken."""

    key: ForeignKey
    kind: CutKind


@dataclass(frozen=True)
class DeletionPlan:
    """All tables that can hold a tenant's rows, children before parents, and the keys broken for this order."""

    order: tuple[Table, ...]
    cuts: tuple[Cut, ...]


@dataclass(frozen=True)
class Catalogue:
    """All tables by label, their foreign keys, child tables and triggers.

    `child_tables` have no tenant column. Each has the keys that lead to a tenant table, or to a child table nearer
    to one; a row belongs to the tenant if any of them matches. `triggers` are those on changes of rows. Rows in
    `kept` tables are neither purged nor counted.
    """

    tables: Mapping[str, Table]
    foreign_keys: tuple[ForeignKey, ...]
    child_tables: Mapping[str, tuple[ForeignKey, ...]]
    triggers: Mapping[str, tuple[Trigger, ...]] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()

    @cached_property
    def tenant_tables(self) -> tuple[Table, ...]:
        """The tables with a tenant column, by label."""
        return tuple(self.tables[label] for label in sorted(self.tables) if self.tables[label].tenant)

    @cached_property
    def links(self) -> frozenset[ForeignKey]:
        """The keys that determine which tenant owns a child table's rows."""
        return frozenset(key for keys in self.child_tables.values() for key in keys)

    @cached_property
    def ownership_columns(self) -> frozenset[str]:
        """The columns that determine which rows a tenant owns, as `label.column`."""
        columns = {f"{table.label}.{table.tenant.name}" for table in self.tenant_tables if table.tenant}
        for key in self.links:
            columns |= {f"{key.child}.{name}" for name in key.columns}
            columns |= {f"{key.parent}.{name}" for name in key.parent_columns}
        return frozenset(columns)

    def keeping(self, *labels: str) -> "Catalogue":
        """Return the catalogue with the given tables as `kept`, except those whose foreign keys tie them to a tenant.

        Such a key, whatever it does on delete, would refuse or change rows that stay.
        """
        owned = {*self.child_tables, *(table.label for table in self.tenant_tables)}
        tied = {key.child for key in self.foreign_keys if key.parent in owned - {key.child}}
        return replace(self, kept=frozenset(labels) & owned - tied)

    def deletion_plan(self) -> DeletionPlan:
        """Return an order in which one tenant's rows can be deleted, always the same for the same database.

        A reference within one table needs no order: PostgreSQL checks it after the statement. Raises
        `CatalogueError` if tables reference each other in a cycle that can't be broken.
        """
        labels = {table.label for table in self.tenant_tables} | set(self.child_tables)
        keys: dict[tuple[str, str], set[ForeignKey]] = defaultdict(set)
        for key in (*self.foreign_keys, *self.links):
            if key.child in labels and key.parent in labels:
                keys[key.child, key.parent].add(key)
        edges = [Edge(*pair, cost=self._cost(group)) for pair, group in keys.items()]
        try:
            order, given_up = children_first(labels, edges)
        except UncuttableCycleError as error:
            raise CatalogueError(
                f"these tables reference each other in a cycle that can't be cut: {error}"
            ) from error
        cuts = [cut for edge in given_up for key in keys[edge.ends] if (cut := self._cut(key))]
        return DeletionPlan(
            order=tuple(self.tables[label] for label in order),
            cuts=tuple(sorted(cuts, key=lambda cut: (cut.key.child, cut.key.name))),
        )

    def _cut(self, key: ForeignKey) -> Cut | None:
        """Return the least invasive way to break this foreign key, or None if it determines row ownership."""
        if key in self.links:
            return None
        if key.clearable:
            return Cut(key, CutKind.CLEAR)
        if key.deferrable and key.on_delete is DeleteAction.NO_ACTION:
            return Cut(key, CutKind.DEFER)
        return Cut(key, CutKind.CASCADE) if key.on_delete is DeleteAction.CASCADE else None

    def _cost(self, keys: Iterable[ForeignKey]) -> int | None:
        """Return the cost of breaking all the keys: a statement each, and more if a CHECK may refuse."""
        cost = 0
        for key in keys:
            cut = self._cut(key)
            if cut is None:
                return None
            cost += 10 if cut.kind is CutKind.CLEAR and key.guarded else 1
        return cost


async def read_catalogue(connection: AsyncConnection) -> Catalogue:
    """Read the structure of the schemas on the connection's search path, except our own.

    A table is tenant-scoped if it has a column `tenant`, or else `tenant_id`; beside `tenant`, a `tenant_id` means
    something else. Raises `CatalogueError` if the column can't hold a tenant's id.
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
    return Catalogue(by_label, keys, find_child_tables(by_label, own), guarded)


def _table(row: Any, columns: list[dict[str, Any]]) -> Table:
    tenant = None
    found = {column["name"]: column for column in columns if column["name"] in TENANT_COLUMNS}
    if row.in_reach and found:
        column = found[min(found)]
        if column["type"] not in set(TenantType):
            raise CatalogueError(
                f"column {column['name']} of table {row.label} is of type {column['type']}, which holds no tenant id"
            )
        tenant = TenantColumn(column["name"], TenantType(column["type"]), column["nullable"])
    return Table(row.schema, row.name, row.label, tenant)


def _foreign_key(row: Any, tables: Mapping[int, Table]) -> ForeignKey:
    child, pairs = tables[row.child], json.loads(row.pairs)
    tenant = child.tenant.name if child.tenant else None
    clearable = [pair for pair in pairs if pair["nullable"] and pair["child"] != tenant]
    clearable.sort(key=lambda pair: pair["checked"])
    if not row.match_full:
        clearable = clearable[:1]
    elif len(clearable) < len(pairs):
        clearable = []
    return ForeignKey(
        name=row.name,
        child=child.label,
        parent=tables[row.parent].label,
        columns=tuple(pair["child"] for pair in pairs),
        parent_columns=tuple(pair["parent"] for pair in pairs),
        on_delete=DeleteAction(row.on_delete),
        clearable=tuple(pair["child"] for pair in clearable),
        guarded=any(pair["checked"] for pair in clearable),
        deferrable=row.deferrable,
        indexed=row.indexed,
    )


def _keys_by_name(
    tables: Mapping[str, Table], columns: Mapping[str, list[dict[str, Any]]], keys: Iterable[ForeignKey]
) -> Iterator[ForeignKey]:
    """Infer references that are no constraints: Citus allows none from a reference table to a tenant table.

    A uuid column of a table without tenant counts as one if exactly one tenant table has a primary key of the
    tenant and a uuid column with the same name, and if the column is not its own table's whole primary key.
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


def find_child_tables(tables: Mapping[str, Table], keys: Iterable[ForeignKey]) -> dict[str, tuple[ForeignKey, ...]]:
    """Return the tables without tenant column that lead to one with it, hop by hop, and the keys that lead there.

    A row whose reference is only cleared when the tenant's row is deleted does not belong to the tenant.
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
