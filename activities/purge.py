"""Deletes everything that one tenant has in a live Alga database, and proves that nothing is left."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, Executable, Row, Select, TextClause, text, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.catalogue import Catalogue, CutKind, DeletionPlan, ForeignKey
from activities.delete_triggers import TriggerGuard
from activities.errors import FinalError
from activities.tenant_rows import NIL, TenantRows

BATCH = 50  # tables asked about in one statement
MAX_PASSES = 3  # a trigger may write rows while others are deleted

Progress = Callable[[str, int], None]


class TenantRefusedError(FinalError):
    """The tenant may not be deleted, or none is named."""


class PurgeIncompleteError(FinalError):
    """Rows of the tenant kept coming back; `remaining` counts them by table."""

    def __init__(self, remaining: Mapping[str, int]) -> None:
        self.remaining = dict(remaining)
        counts = ", ".join(f"{label} ({rows})" for label, rows in self.remaining.items())
        super().__init__("purge-incomplete", f"rows of the tenant are left in {counts}")


class ForeignReferenceError(FinalError):
    """Deleting the tenant would change rows that aren't the tenant's; `references` are their tables and keys."""

    def __init__(self, references: Sequence[tuple[str, str]]) -> None:
        self.references = tuple(references)
        named = ", ".join(f"{label} by {key}" for label, key in self.references)
        super().__init__("foreign-reference", f"rows outside the tenant depend on it: {named}")


@dataclass(frozen=True)
class PurgeReport:
    """What a purge did: rows deleted by table, in order, and the number of statements it took, the proof's included.

    Rows that the database itself deleted, by ON DELETE CASCADE, are not counted; the order makes them rare.
    """

    deleted_rows: Mapping[str, int]
    statements: int


async def purge_tenant(
    connection: AsyncConnection,
    catalogue: Catalogue,
    tenant_id: UUID | None,
    *,
    management_tenant_id: UUID | None = None,
    on_progress: Progress | None = None,
) -> PurgeReport:
    """Delete all rows of the tenant inside the caller's transaction, which alone makes it final.

    A second run finds nothing and changes nothing. `on_progress` hears each table and the rows deleted from it. A
    trigger that forbids a deletion is disabled for the rest of the deletions, and enabled again after them.

    Raises, after which the transaction has to be rolled back:
        TenantRefusedError: there is no tenant id, or it is the management tenant's.
        ForeignReferenceError: something of somebody else's would change; nothing has been deleted yet.
        PurgeIncompleteError: rows are there again after `MAX_PASSES` passes.
        MissingRightError: a trigger forbids deleting, and the role may not disable it.
        CatalogueError: there is no order to delete in.
        DBAPIError: the database refused, as where a key of somebody else's rows protects the tenant's.
    """
    if management_tenant_id is not None and tenant_id == management_tenant_id:
        raise TenantRefusedError("management-tenant", "the management tenant is never deleted")
    purge = _Purge(connection, catalogue, _named(tenant_id))
    plan = catalogue.deletion_plan()
    deleted: dict[str, int] = {}
    for number in range(MAX_PASSES):
        occupied = await purge.occupied()
        if not occupied:
            return PurgeReport(deleted, purge.statements)
        await purge.refuse_foreign_references(occupied)
        if number > 0:
            await purge.guard.disable_silent(occupied)
        async for label, rows in purge.delete(plan, occupied):
            deleted[label] = deleted.get(label, 0) + rows
            if on_progress:
                on_progress(label, rows)
        await purge.settle()
    if remaining := await purge.count():
        raise PurgeIncompleteError(remaining)
    return PurgeReport(deleted, purge.statements)


async def count_tenant_rows(
    connection: AsyncConnection, catalogue: Catalogue, tenant_id: UUID | None
) -> dict[str, int]:
    """The tenant's rows by table, tables without any left out: empty is the proof that a tenant is gone.

    Raises `TenantRefusedError` without a tenant.
    """
    return await _Purge(connection, catalogue, _named(tenant_id)).count()


def _named(tenant_id: UUID | None) -> UUID:
    if tenant_id is None or tenant_id == NIL:
        raise TenantRefusedError("tenant-id-missing", "a tenant id is needed")
    return tenant_id


class _Purge:
    """The statements of one purge, counted."""

    def __init__(self, connection: AsyncConnection, catalogue: Catalogue, tenant_id: UUID) -> None:
        self.statements = 0
        self._rows = TenantRows(catalogue, tenant_id)
        self._catalogue = catalogue
        self._connection = connection
        self.guard = TriggerGuard(connection, catalogue.triggers, self._count_statement)

    async def occupied(self) -> set[str]:
        """The tables in which the tenant has rows."""
        labels = [*(table.label for table in self._catalogue.tenant_tables), *self._catalogue.child_tables]
        found = await self._ask([self._rows.any(mark, label) for mark, label in enumerate(labels)])
        return {labels[row.mark] for row in found}

    async def count(self) -> dict[str, int]:
        """The tenant's rows in those tables."""
        labels = sorted(await self.occupied())
        counted = await self._ask([self._rows.count(mark, label) for mark, label in enumerate(labels)])
        return {labels[row.mark]: row.rows for row in counted}

    async def refuse_foreign_references(self, occupied: set[str]) -> None:
        """Raise `ForeignReferenceError` where deleting from these tables would change somebody else's rows."""
        keys = self._rows.keys_to_check(occupied)
        found = await self._ask([self._rows.foreign(mark, key) for mark, key in enumerate(keys)])
        if found:
            raise ForeignReferenceError([(keys[row.mark].child, keys[row.mark].name) for row in found])

    async def delete(self, plan: DeletionPlan, occupied: set[str]) -> AsyncIterator[tuple[str, int]]:
        """Delete from these tables, children first; gives each table and how many rows it lost."""
        cuts = [cut for cut in plan.cuts if {cut.key.child, cut.key.parent} <= occupied]
        for cut in cuts:
            if cut.kind is CutKind.CLEAR:
                await self.guard.update(cut.key.child, self._rows.clear(cut.key))
            elif cut.kind is CutKind.DEFER:
                await self._execute(self._check(cut.key, "DEFERRED"))
        for table in plan.order:
            if table.label in occupied:
                yield table.label, (await self.guard.delete(table.label, self._rows.delete(table.label))).rowcount
        for cut in cuts:
            if cut.kind is CutKind.DEFER:
                await self._execute(self._check(cut.key, "IMMEDIATE"))

    async def settle(self) -> None:
        """Let checks that wait for the commit speak now, while the transaction still can be told from others."""
        await self._execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
        await self.guard.restore()

    def _check(self, key: ForeignKey, when: str) -> TextClause:
        quote = self._connection.dialect.identifier_preparer.quote
        return text(f"SET CONSTRAINTS {quote(self._catalogue.tables[key.child].schema)}.{quote(key.name)} {when}")

    async def _ask(self, selects: Sequence[Select[*tuple[Any, ...]]]) -> list[Row[Any]]:
        """The rows of all the selects, asked in batches."""
        rows: list[Row[Any]] = []
        for start in range(0, len(selects), BATCH):
            rows += await self._execute(union_all(*selects[start : start + BATCH]))
        return rows

    def _count_statement(self, _statement: Executable) -> None:
        self.statements += 1

    async def _execute(self, statement: Executable) -> CursorResult[Any]:
        self.statements += 1
        return await self._connection.execute(statement)
