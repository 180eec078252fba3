"""Deletes everything that one tenant has in a live Alga database, and proves that nothing is left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.purge.catalogue import Catalogue, CutKind, DeletionPlan, ForeignKey
from activities.purge.errors import ForeignReferenceError, PurgeIncompleteError, TenantRefusedError
from activities.purge.tenant_rows import TenantRows
from activities.purge.trigger_guard import PendingTriggerEventsError, TriggerGuard
from activities.purge.triggers import Trigger

BATCH = 50  # tables per query
MAX_PASSES = 3  # a trigger may write rows while others are deleted

Progress = Callable[[str, int], None]


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

    The rows that everything of the tenant references are locked first, and so are those through which another
    tenant's rows could change. A writer that adds a row referencing them waits for the transaction, and then fails.
    Only a table without any foreign key can get a row after the proof.

    Raises, after restoring the database's state with its triggers:
        TenantRefusedError: there is no tenant id, or it is `management_tenant_id`.
        ForeignReferenceError: rows outside the tenant would change.
        PurgeIncompleteError: rows are left after `MAX_PASSES` passes.
        MissingRightError: a trigger interferes, and the role may not disable it.
        CatalogueError: there is no order to delete in.
        DBAPIError: the database refused, for example because a key of other rows protects the tenant's.
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
    return await _RowQueries(connection, catalogue, TenantRows(catalogue, tenant_id)).count()


class _RowQueries:
    """Queries on the tenant's rows, many tables at a time."""

    def __init__(self, connection: AsyncConnection, catalogue: Catalogue, rows: TenantRows) -> None:
        self._rows = rows
        self._connection = connection
        self._labels = [*(table.label for table in catalogue.tenant_tables), *catalogue.child_tables]
        self._any = [rows.any(mark, label) for mark, label in enumerate(self._labels)]

    async def occupied(self) -> set[str]:
        """Return the tables in which the tenant has rows."""
        return {self._labels[row.mark] for row in await self._fetch(self._any)}

    async def count(self) -> dict[str, int]:
        """Count the tenant's rows in those tables."""
        labels = sorted(await self.occupied())
        counted = await self._fetch([self._rows.count(mark, label) for mark, label in enumerate(labels)])
        return {labels[row.mark]: row.rows for row in counted}

    async def foreign(self, keys: Sequence[ForeignKey]) -> list[ForeignKey]:
        """Return the keys that tie rows outside the tenant to the tenant's."""
        found = await self._fetch([self._rows.foreign(mark, key) for mark, key in enumerate(keys)])
        return [keys[row.mark] for row in found]

    async def _fetch(self, selects: Sequence[Select[*tuple[Any, ...]]]) -> list[Row[Any]]:
        rows: list[Row[Any]] = []
        for start in range(0, len(selects), BATCH):
            rows += await self._connection.execute(union_all(*selects[start : start + BATCH]))
        return rows


class _Purge:
    """One attempt to delete everything, within its own savepoint."""

    def __init__(
        self, connection: AsyncConnection, catalogue: Catalogue, rows: TenantRows, on_progress: Progress | None
    ) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._rows = rows
        self._on_progress = on_progress
        self._queries = _RowQueries(connection, catalogue, rows)
        self._guard = TriggerGuard(connection, catalogue)
        self._deleted: dict[str, int] = {}

    async def run(self, plan: DeletionPlan, first: Sequence[Trigger]) -> PurgeReport:
        """Delete until nothing is left, with the triggers `first` disabled from the start.

        Raises as `purge_tenant` does, and `PendingTriggerEventsError`.
        """
        await self._guard.disable(first)
        await self._lock(self._rows.roots())
        for number in range(MAX_PASSES):
            occupied = await self._queries.occupied()
            if not occupied:
                break
            if number:
                await self._set_constraints("ALL", "DEFERRED")
            await self._refuse_foreign_references(occupied)
            await self._delete(plan, occupied)
            await self._guard.settle()
        else:
            if remaining := await self._queries.count():
                raise PurgeIncompleteError(remaining)
        await self._guard.enable_all()
        return PurgeReport(self._deleted, tuple(self._guard.disabled))

    async def _lock(self, labels: Sequence[str]) -> None:
        for label in labels:
            await self._connection.execute(self._rows.lock(label))

    async def _refuse_foreign_references(self, occupied: set[str]) -> None:
        """Raise if deleting from these tables would change rows outside the tenant; lock so that it stays so."""
        keys = self._rows.keys_to_check(occupied)
        await self._lock(sorted({key.parent for key in keys if key.declared}))
        if found := await self._queries.foreign(keys):
            raise ForeignReferenceError([(key.child, key.name) for key in found])

    async def _delete(self, plan: DeletionPlan, occupied: set[str]) -> None:
        quote = self._connection.dialect.identifier_preparer.quote
        for cut in plan.cuts:
            key = cut.key
            if not {key.child, key.parent} <= occupied:
                continue
            if cut.kind is CutKind.CLEAR:
                await self._guard.update(key.child, self._rows.clear(key), self._rows.any_to_clear(0, key))
            elif cut.kind is CutKind.DEFER:
                schema = self._catalogue.tables[key.child].schema
                await self._set_constraints(f"{quote(schema)}.{quote(key.name)}", "DEFERRED")
        for label in [table.label for table in plan.order if table.label in occupied]:
            if self._on_progress:
                self._on_progress(label, sum(self._deleted.values()))
            rows = await self._guard.delete(label, self._rows.delete(label), self._rows.any(0, label))
            self._deleted[label] = self._deleted.get(label, 0) + rows

    async def _set_constraints(self, name: str, when: str) -> None:
        await self._connection.exec_driver_sql(f"SET CONSTRAINTS {name} {when}")
