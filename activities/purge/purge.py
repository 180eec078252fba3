"""Deletes everything that one tenant has in a live Alga database, and proves that nothing is left."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import Row, Select, text, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.purge.catalogue import Catalogue, CutKind, DeletionPlan
from activities.purge.errors import ForeignReferenceError, PurgeIncompleteError, TenantRefusedError
from activities.purge.tenant_rows import TenantRows
from activities.purge.trigger_guard import PendingTriggerEventsError, TriggerGuard
from activities.purge.triggers import Trigger

BATCH = 50  # tables per query
MAX_PASSES = 3  # a trigger may write rows while others are deleted
LOCK_TIMEOUT = "10s"
# Pairs of a deleted row and a row read for it that take about a minute.
MANY_PAIRS = 500_000_000

TIMEOUTS = text("SELECT current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock")
SET_TIMEOUTS = text(
    "SELECT set_config('statement_timeout', :statement, true), set_config('lock_timeout', :lock, true)"
)

log = structlog.get_logger(__name__)

Progress = Callable[[str, int], Awaitable[None]]
ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class PurgeReport:
    """Rows deleted by table, in order, and the triggers that were disabled during the purge.

    Rows that foreign keys or triggers deleted with others are counted as well. `proven_tables` were searched last,
    and held no row of the tenant. `kept_tables` were neither purged nor searched.
    """

    deleted_rows: Mapping[str, int] = field(default_factory=dict)
    disabled_triggers: Sequence[Trigger] = ()
    proven_tables: int = 0
    kept_tables: Sequence[str] = ()


async def purge_tenant(
    connection: AsyncConnection,
    catalogue: Catalogue,
    tenant_id: UUID | None,
    *,
    management_tenant_id: UUID | None,
    on_progress: Progress | None = None,
) -> PurgeReport:
    """Delete all rows of the tenant inside the caller's transaction; a second run finds nothing to delete.

    `on_progress` is awaited for each table before its rows are deleted, with the number of rows deleted so far. It
    may raise to end the purge. Statements may take as long as they need, but wait for each lock no longer than
    `LOCK_TIMEOUT`. Then the transaction has its former timeouts again.

    A trigger that interferes is disabled until the end, which locks its table against other writers until the
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
    timeouts = (await connection.execute(TIMEOUTS)).one()
    first: tuple[Trigger, ...] = ()
    while True:
        try:
            # A rollback to the savepoint also restores the timeouts.
            async with connection.begin_nested():
                await connection.execute(SET_TIMEOUTS, {"statement": "0", "lock": LOCK_TIMEOUT})
                report = await _Purge(connection, catalogue, rows, on_progress).run(plan, first)
                await connection.execute(SET_TIMEOUTS, timeouts._asdict())
                return report
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
    return await count_rows(connection, TenantRows(catalogue, tenant_id))


async def count_rows(connection: AsyncConnection, rows: TenantRows) -> dict[str, int]:
    """Return the tenant's rows by table, without tables that have none."""
    occupied = await occupied_tables(connection, rows)
    return {label: row.rows for label, row in await _found(connection, occupied, rows.count) if row.rows}


async def occupied_tables(connection: AsyncConnection, rows: TenantRows) -> list[str]:
    """Return the tables in which the tenant has rows."""
    return sorted(label for label, _ in await _found(connection, rows.labels, rows.any))


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
        left = await count_rows(self.connection, self.rows)
        self._warn_of_slow_keys(left)
        for number in range(MAX_PASSES):
            if not left:
                break
            if number:
                await self._set_constraints("ALL", "DEFERRED")
            await self._refuse_foreign_references(left.keys())
            counted, deleted = left, await self._delete(plan, left.keys())
            await self.guard.settle()
            left = await count_rows(self.connection, self.rows)
            for label, rows in deleted.items():
                # Cascades and triggers also delete rows, of which no statement returns the number.
                self.deleted[label] = self.deleted.get(label, 0) + max(rows, counted[label] - left.get(label, 0))
        if left:
            raise PurgeIncompleteError(left)
        await self.guard.enable_all()
        return PurgeReport(
            self.deleted, tuple(self.guard.disabled), len(self.rows.labels), tuple(sorted(self.catalogue.kept))
        )

    def _warn_of_slow_keys(self, rows: Mapping[str, int]) -> None:
        for key in self.catalogue.foreign_keys:
            if not key.indexed and rows.get(key.parent, 0) * rows.get(key.child, 0) > MANY_PAIRS:
                log.warning(
                    "a purge will take long, because a foreign key has no index",
                    key=key.name,
                    table=key.child,
                    columns=key.columns,
                    rows=rows[key.child],
                    referenced=key.parent,
                    referenced_rows=rows[key.parent],
                )

    async def _lock(self, labels: Sequence[str]) -> None:
        for label in labels:
            await self.connection.execute(self.rows.lock(label))

    async def _refuse_foreign_references(self, occupied: Collection[str]) -> None:
        """Raise if deleting from these tables would change rows outside the tenant; lock so that it stays so."""
        keys = self.rows.keys_to_check(occupied)
        await self._lock(sorted({key.parent for key in keys if key.declared}))
        if found := await _found(self.connection, keys, self.rows.foreign):
            raise ForeignReferenceError([(key.child, key.name) for key, _ in found])

    async def _delete(self, plan: DeletionPlan, occupied: Collection[str]) -> dict[str, int]:
        """Delete from these tables, and return how many rows each statement deleted."""
        quote = self.connection.dialect.identifier_preparer.quote
        for cut in plan.cuts:
            key = cut.key
            if key.child not in occupied or key.parent not in occupied:
                continue
            if cut.kind is CutKind.CLEAR:
                await self.guard.update(key.child, self.rows.clear(key), self.rows.any_to_clear(0, key))
            elif cut.kind is CutKind.DEFER:
                schema = self.catalogue.tables[key.child].schema
                await self._set_constraints(f"{quote(schema)}.{quote(key.name)}", "DEFERRED")
        before, deleted = sum(self.deleted.values()), dict[str, int]()
        for label in [table.label for table in plan.order if table.label in occupied]:
            if self.on_progress:
                await self.on_progress(label, before + sum(deleted.values()))
            deleted[label] = await self.guard.delete(label, self.rows.delete(label), self.rows.any(0, label))
        return deleted

    async def _set_constraints(self, name: str, when: str) -> None:
        await self.connection.exec_driver_sql(f"SET CONSTRAINTS {name} {when}")
