"""Deletes everything that one tenant has in a live Alga database, and proves that nothing is left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Row, Select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.purge.catalogue import Catalogue, CutKind, DeletionPlan
from activities.purge.errors import ForeignReferenceError, PurgeIncompleteError, TenantRefusedError
from activities.purge.tenant_rows import TenantRows
from activities.purge.trigger_guard import PendingTriggerEventsError, TriggerGuard
from activities.purge.triggers import Trigger

BATCH = 50  # tables per query
MAX_PASSES = 3  # a trigger may write rows while others are deleted

Progress = Callable[[str, int], None]
ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class PurgeReport:
    """Rows deleted by table, in order, and the triggers that were disabled during the purge.

    Rows deleted by ON DELETE CASCADE are not counted; the order makes them rare.
    """

    deleted_rows: Mapping[str, int] = field(default_factory=dict)
    disabled_triggers: Sequence[Trigger] = ()


async def purge_tenant(
    connection: AsyncConnection,
    catalogue: Catalogue,
    tenant_id: UUID | None,
    *,
    management_tenant_id: UUID | None,
    on_progress: Progress | None = None,
) -> PurgeReport:
    """Delete all rows of the tenant inside the caller's transaction; a second run finds nothing to delete.

    `on_progress` is called for each table before its rows are deleted, with the number of rows deleted so far. A
    trigger that interferes is disabled until the end, which locks its table against other writers until the
    transaction ends. Deferred constraints are checked here, not at the commit.

    Rows through which the tenant could get new rows, or another tenant's rows could change, are locked first: a
    writer that adds a reference to them waits for the transaction, and then fails. Only a table without any foreign
    key can get a row after the proof.

    Raises `TenantRefusedError`, `ForeignReferenceError`, `PurgeIncompleteError`, `MissingRightError`,
    `CatalogueError`, or `DBAPIError` if the database refuses. The database is then as before, triggers included.
    """
    rows = TenantRows(catalogue, tenant_id)
    if tenant_id is not None and tenant_id == management_tenant_id:
        raise TenantRefusedError.management(tenant_id)
    plan = catalogue.deletion_plan()
    first: tuple[Trigger, ...] = ()
    while True:
        try:
            async with connection.begin_nested():
                return await _Purge(connection, catalogue, rows, on_progress).run(plan, first)
        except PendingTriggerEventsError as error:
            if set(error.triggers) <= set(first):
                raise error.error from None
            first = tuple(dict.fromkeys([*first, *error.triggers]))


async def count_tenant_rows(
    connection: AsyncConnection, catalogue: Catalogue, tenant_id: UUID | None
) -> dict[str, int]:
    """Return the tenant's rows by table, without tables that have none: an empty result proves that a tenant is gone.

    Raises `TenantRefusedError` if no tenant is named.
    """
    return await _count(connection, TenantRows(catalogue, tenant_id))


async def occupied_tables(connection: AsyncConnection, rows: TenantRows) -> list[str]:
    """Return the tables in which the tenant has rows."""
    return sorted(label for label, _ in await _found(connection, rows.labels, rows.any))


async def _count(connection: AsyncConnection, rows: TenantRows) -> dict[str, int]:
    occupied = await occupied_tables(connection, rows)
    return {label: row.rows for label, row in await _found(connection, occupied, rows.count)}


async def _found(
    connection: AsyncConnection, items: Sequence[ItemT], build: Callable[[int, ItemT], Select[*tuple[Any, ...]]]
) -> list[tuple[ItemT, Row[Any]]]:
    """Send the queries built for the items, many at a time, and return the rows, each with its item."""
    rows: list[Row[Any]] = []
    for start in range(0, len(items), BATCH):
        batch = enumerate(items[start : start + BATCH], start)
        rows += await connection.execute(union_all(*(build(mark, item) for mark, item in batch)))
    return [(items[row.mark], row) for row in rows]


@dataclass
class _Purge:
    """One attempt to delete everything, within its own savepoint."""

    connection: AsyncConnection
    catalogue: Catalogue
    rows: TenantRows
    on_progress: Progress | None
    deleted: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.guard = TriggerGuard(self.connection, self.catalogue)

    async def run(self, plan: DeletionPlan, first: Sequence[Trigger]) -> PurgeReport:
        """Delete until nothing is left, with the triggers `first` disabled from the start.

        Raises as `purge_tenant` does, and `PendingTriggerEventsError`.
        """
        await self.guard.disable(first)
        await self._lock(self.rows.roots())
        for number in range(MAX_PASSES):
            occupied = set(await occupied_tables(self.connection, self.rows))
            if not occupied:
                break
            if number:
                await self._set_constraints("ALL", "DEFERRED")
            await self._refuse_foreign_references(occupied)
            await self._delete(plan, occupied)
            await self.guard.settle()
        else:
            if remaining := await _count(self.connection, self.rows):
                raise PurgeIncompleteError(remaining)
        await self.guard.enable_all()
        return PurgeReport(self.deleted, tuple(self.guard.disabled))

    async def _lock(self, labels: Sequence[str]) -> None:
        for label in labels:
            await self.connection.execute(self.rows.lock(label))

    async def _refuse_foreign_references(self, occupied: set[str]) -> None:
        """Raise if deleting from these tables would change rows outside the tenant; lock so that it stays so."""
        keys = self.rows.keys_to_check(occupied)
        await self._lock(sorted({key.parent for key in keys if key.declared}))
        if found := await _found(self.connection, keys, self.rows.foreign):
            raise ForeignReferenceError([(key.child, key.name) for key, _ in found])

    async def _delete(self, plan: DeletionPlan, occupied: set[str]) -> None:
        quote = self.connection.dialect.identifier_preparer.quote
        for cut in plan.cuts:
            key = cut.key
            if not {key.child, key.parent} <= occupied:
                continue
            if cut.kind is CutKind.CLEAR:
                await self.guard.update(key.child, self.rows.clear(key), self.rows.any_to_clear(0, key))
            elif cut.kind is CutKind.DEFER:
                schema = self.catalogue.tables[key.child].schema
                await self._set_constraints(f"{quote(schema)}.{quote(key.name)}", "DEFERRED")
        for label in [table.label for table in plan.order if table.label in occupied]:
            if self.on_progress:
                self.on_progress(label, sum(self.deleted.values()))
            rows = await self.guard.delete(label, self.rows.delete(label), self.rows.any(0, label))
            self.deleted[label] = self.deleted.get(label, 0) + rows

    async def _set_constraints(self, name: str, when: str) -> None:
        await self.connection.exec_driver_sql(f"SET CONSTRAINTS {name} {when}")
