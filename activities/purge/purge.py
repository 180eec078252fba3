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
from activities.purge.trigger_guard import DisableFirst, TriggerGuard
from activities.purge.triggers import Trigger

BATCH = 50  # tables asked about in one statement
MAX_PASSES = 3  # a trigger may write rows while others are deleted

Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class PurgeReport:
    """What a purge did: rows deleted by table, in order, and the triggers that had to be disabled meanwhile.

    Rows that the database itself deleted, by ON DELETE CASCADE, are not counted; the order makes them rare.
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
    """Delete all rows of the tenant inside the caller's transaction, which alone makes it final.

    A second run finds nothing and changes nothing. `on_progress` hears each table before rows are deleted from it,
    and how many have been deleted until then. A trigger that stands in the way is disabled until the end: nobody
    else can write to its table from then until the transaction ends. Checks that wait for the commit are made here.

    The rows that everything of the tenant references are locked first, and so are those by which a neighbour's rows
    could be deleted or altered: who adds a row that references them waits for the end of the transaction, and is then
    refused. Only a table that is tied to no other by a foreign key can get a row behind the proof's back.

    Raises, after which the database is as it was before, triggers included:
        TenantRefusedError: there is no tenant id, or it is `management_tenant_id`.
        ForeignReferenceError: something of somebody else's would change.
        PurgeIncompleteError: rows are there again after `MAX_PASSES` passes.
        MissingRightError: a trigger stands in the way, and the role may not disable it.
        CatalogueError: there is no order to delete in.
        DBAPIError: the database refused, as where a key of somebody else's rows protects the tenant's.
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
        except DisableFirst as again:
            if set(again.triggers) <= set(first):
                raise again.error from None
            first = tuple(dict.fromkeys([*first, *again.triggers]))


async def count_tenant_rows(
    connection: AsyncConnection, catalogue: Catalogue, tenant_id: UUID | None
) -> dict[str, int]:
    """The tenant's rows by table, tables without any left out: empty is the proof that a tenant is gone.

    Raises `TenantRefusedError` without a tenant.
    """
    return await _Questions(connection, catalogue, TenantRows(catalogue, tenant_id)).count()


class _Questions:
    """What is asked about the tenant's rows, many tables at a time."""

    def __init__(self, connection: AsyncConnection, catalogue: Catalogue, rows: TenantRows) -> None:
        self._rows = rows
        self._connection = connection
        self._labels = [*(table.label for table in catalogue.tenant_tables), *catalogue.child_tables]
        self._any = [rows.any(mark, label) for mark, label in enumerate(self._labels)]

    async def occupied(self) -> set[str]:
        """The tables in which the tenant has rows."""
        return {self._labels[row.mark] for row in await self._ask(self._any)}

    async def count(self) -> dict[str, int]:
        """The tenant's rows in those tables."""
        labels = sorted(await self.occupied())
        counted = await self._ask([self._rows.count(mark, label) for mark, label in enumerate(labels)])
        return {labels[row.mark]: row.rows for row in counted}

    async def foreign(self, keys: Sequence[ForeignKey]) -> list[ForeignKey]:
        """Those of the keys that tie somebody else's rows to the tenant's."""
        found = await self._ask([self._rows.foreign(mark, key) for mark, key in enumerate(keys)])
        return [keys[row.mark] for row in found]

    async def _ask(self, selects: Sequence[Select[*tuple[Any, ...]]]) -> list[Row[Any]]:
        """The rows of all the selects, asked in batches."""
        rows: list[Row[Any]] = []
        for start in range(0, len(selects), BATCH):
            rows += await self._connection.execute(union_all(*selects[start : start + BATCH]))
        return rows


class _Purge:
    """One attempt to delete everything, within a savepoint of its own."""

    def __init__(
        self, connection: AsyncConnection, catalogue: Catalogue, rows: TenantRows, on_progress: Progress | None
    ) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._rows = rows
        self._on_progress = on_progress
        self._questions = _Questions(connection, catalogue, rows)
        self._guard = TriggerGuard(connection, catalogue)
        self._deleted: dict[str, int] = {}

    async def run(self, plan: DeletionPlan, first: Sequence[Trigger]) -> PurgeReport:
        """Delete until nothing is left; raises as `purge_tenant`, and `DisableFirst` what then has to be `first`."""
        await self._guard.disable(first)
        await self._lock(self._rows.roots())
        for number in range(MAX_PASSES):
            occupied = await self._questions.occupied()
            if not occupied:
                break
            if number:
                await self._set_constraints("ALL", "DEFERRED")
            await self._refuse_foreign_references(occupied)
            await self._delete(plan, occupied)
            await self._guard.settle()
        else:
            if remaining := await self._questions.count():
                raise PurgeIncompleteError(remaining)
        await self._guard.enable_all()
        return PurgeReport(self._deleted, tuple(self._guard.disabled))

    async def _lock(self, labels: Sequence[str]) -> None:
        for label in labels:
            await self._connection.execute(self._rows.lock(label))

    async def _refuse_foreign_references(self, occupied: set[str]) -> None:
        """Raise where deleting from these tables would change somebody else's rows, and let it stay so."""
        keys = self._rows.keys_to_check(occupied)
        await self._lock(sorted({key.parent for key in keys if key.declared}))
        if found := await self._questions.foreign(keys):
            raise ForeignReferenceError([(key.child, key.name) for key in found])

    async def _delete(self, plan: DeletionPlan, occupied: set[str]) -> None:
        """Delete from these tables, children first."""
        for cut in plan.cuts:
            key = cut.key
            if not {key.child, key.parent} <= occupied:
                continue
            if cut.kind is CutKind.CLEAR:
                await self._guard.update(key.child, self._rows.clear(key), self._rows.any_to_clear(0, key))
            elif cut.kind is CutKind.DEFER:
                await self._set_constraints(self._name(key), "DEFERRED")
        for label in [table.label for table in plan.order if table.label in occupied]:
            if self._on_progress:
                self._on_progress(label, sum(self._deleted.values()))
            rows = await self._guard.delete(label, self._rows.delete(label), self._rows.any(0, label))
            self._deleted[label] = self._deleted.get(label, 0) + rows

    def _name(self, key: ForeignKey) -> str:
        quote = self._connection.dialect.identifier_preparer.quote
        return f"{quote(self._catalogue.tables[key.child].schema)}.{quote(key.name)}"

    async def _set_constraints(self, name: str, when: str) -> None:
        await self._connection.exec_driver_sql(f"SET CONSTRAINTS {name} {when}")
