"""What the live database's catalogue says about tenants: whose rows are where, and which keys tie them together."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.deletion_order import Edge, UncuttableCycleError, children_first
from activities.errors import FinalError

TENANT_COLUMNS = ("tenant", "tenant_id")
OWN_SCHEMA = "alga_tenants"


class CatalogueError(FinalError):
    """The database's structure leaves no safe way to tell a tenant's rows, or to delete them."""

    def __init__(self, detail: str) -> None:
        super().__init__("database-mismatch", detail)


class TenantType(StrEnum):
    """The type of a tenant column; a value bound with it lets the column's index be used."""

    UUID = "uuid"
    VARCHAR = "varchar"
    TEXT = "text"


class DeleteAction(StrEnum):
    """What a key does with the referencing rows when the referenced row is deleted."""

    NO_ACTION = "a"
    RESTRICT = "r"
    CASCADE = "c"
    SET_NULL = "n"
    SET_DEFAULT = "d"


class CutKind(StrEnum):
    """How a key is kept from standing in the way of an order."""

    SET_NULL = "set-null"  # empty its column first
    DEFER = "defer"  # have it checked at the end
    CASCADE = "cascade"  # let the database delete the referencing rows


@dataclass(frozen=True)
class TenantColumn:
    """The column that says whose a row is; NULL, where it may be, says everybody's."""

    name: str
    type: TenantType
    nullable: bool


@dataclass(frozen=True)
class Table:
    """A table; `label` is what the search path of the reading session calls it, and its key in a catalogue."""

    schema: str
    name: str
    label: str
    tenant: TenantColumn | None


@dataclass(frozen=True)
class ForeignKey:
    """A reference from `child` to `parent`, both labels of tables.

    `clearable` are the columns that may be set to NULL to undo the reference; `set_columns` those that ON DELETE
    SET NULL or SET DEFAULT changes. A key that is not `declared` is no constraint but was told by its column's name.
    """

    name: str
    child: str
    parent: str
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]
    on_delete: DeleteAction = DeleteAction.NO_ACTION
    set_columns: tuple[str, ...] = ()
    clearable: tuple[str, ...] = ()
    deferrable: bool = False
    declared: bool = True


@dataclass(frozen=True)
class Cut:
    """A key that the order of deletion does not respect, and what is done about it."""

    key: ForeignKey
    kind: CutKind


@dataclass(frozen=True)
class DeletionPlan:
    """All tables that can hold a tenant's rows, children before parents; `cuts` come first where they are needed."""

    order: tuple[Table, ...]
    cuts: tuple[Cut, ...]


@dataclass(frozen=True)
class Catalogue:
    """The tables outside the system's own schemas, by label, and every foreign key onto a table in reach.

    `links` are the keys by which a table without tenant column belongs to the rows of another, by its label.
    """

    tables: Mapping[str, Table]
    foreign_keys: tuple[ForeignKey, ...]
    links: Mapping[str, tuple[ForeignKey, ...]]

    @cached_property
    def tenant_tables(self) -> tuple[Table, ...]:
        """The tables with a tenant column, by label."""
        return tuple(self.tables[label] for label in sorted(self.tables) if self.tables[label].tenant)

    @cached_property
    def child_tables(self) -> Mapping[str, tuple[ForeignKey, ...]]:
        """The tables without one whose rows hang on a tenant's: the keys that lead there, one hop each."""
        return self.links

    def deletion_plan(self) -> DeletionPlan:
        """An order in which one tenant's rows can be deleted.

        Raises `CatalogueError` where tables reference each other in a circle that can't be cut.
        """
        labels = {table.label for table in self.tenant_tables} | set(self.links)
        linking = {key for keys in self.links.values() for key in keys}
        keys: dict[tuple[str, str], list[ForeignKey]] = defaultdict(list)
        for key in {*self.foreign_keys, *linking}:
            if key.child in labels and key.parent in labels:
                keys[key.child, key.parent].append(key)
        cuts = {key: _cut(key) for group in keys.values() for key in group if key not in linking}
        edges = [Edge(*pair, cost=_cost([cuts.get(key) for key in group])) for pair, group in keys.items()]
        try:
            order, cut_edges = children_first(labels, edges)
        except UncuttableCycleError as error:
            raise CatalogueError(
                f"these tables reference each other with keys that can't be undone: {error}"
            ) from None
        chosen = (cuts[key] for edge in cut_edges for key in sorted(keys[edge.child, edge.parent], key=_by_name))
        return DeletionPlan(
            order=tuple(self.tables[label] for label in order),
            cuts=tuple(cut for cut in chosen if cut is not None),
        )
