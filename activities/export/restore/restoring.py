"""Restores a tenant from an archive, in one transaction."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from asyncpg import ForeignKeyViolationError, IntegrityConstraintViolationError, PostgresError, UniqueViolationError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.lifecycle_tables import pending_tenant_deletions
from activities.database.errors import classify
from activities.export.archive import Manifest
from activities.export.columns import Columns, read_columns
from activities.export.restore.checks import (
    KEY_TAKEN,
    archived_with_rows,
    existing_rows,
    schema_refusals,
    taken_emails,
    taken_keys,
)
from activities.export.restore.errors import Refusal, RestoreRefusedError
from activities.export.restore.keys import GlobalKey, read_global_keys
from activities.export.restore.parts import ArchiveReader
from activities.export.restore.staging import StagedTable
from activities.export.storage import ArchiveStore
from activities.purge.catalogue import Catalogue, CutKind, read_catalogue
from activities.purge.purge import count_tenant_rows
from activities.purge.tenant_rows import TenantRows

COUNT_DIFFERS = "restore-incomplete"
REFERENCE_MISSING = "reference-missing"
USERS = "users"
# Temporary tables.
COMPARED, STAGED = "compared", "staged"

# COPY of a large table is not ended, and a trigger of `audit_logs` takes the tenant from a setting.
_SETTINGS = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
}

OnTable = Callable[[str, int], Awaitable[None]]


@dataclass(frozen=True)
class RestoreReport:
    """The rows that were written, by table."""

    rows: dict[str, int]


async def restore_tenant(
    connection: AsyncConnection, store: ArchiveStore, folder: str, manifest: Manifest, *, on_table: OnTable
) -> RestoreReport:
    """Write all rows of the archive within the caller's transaction, and prove their number table by table.

    The archive must have been verified. `on_table` is awaited before each table with the number of rows so far; it
    may raise to end the restore. Statements may take as long as they need.

    Raises `RestoreRefusedError` with all reasons, or an error of the database; nothing was written then, once the
    caller has rolled back.
    """
    restore = await _Restore.begin(connection, store, folder, manifest)
    restore.refuse(await restore.refusals())
    try:
        async with connection.begin_nested():
            return await restore.write(on_table)
    except (IntegrityConstraintViolationError, IntegrityError) as error:
        cause = diagnosis.error if (diagnosis := classify(error)) is not None else error
        if isinstance(cause, ForeignKeyViolationError):
            restore.refuse([_missing_reference(cause)])
        if isinstance(cause, UniqueViolationError):
            # Now it is worth the time to find out which keys are taken.
            restore.refuse(await restore.taken_keys() or [_taken(cause)])
        raise


async def find_refusals(
    connection: AsyncConnection, store: ArchiveStore, folder: str, manifest: Manifest
) -> list[Refusal]:
    """Return everything that would keep the archive from being restored; the caller rolls back."""
    restore = await _Restore.begin(connection, store, folder, manifest)
    refusals = await restore.refusals()
    # Tables of another structure can't be compared.
    return refusals or await restore.taken_keys()


@dataclass
class _Restore:
    connection: AsyncConnection
    reader: ArchiveReader
    manifest: Manifest
    catalogue: Catalogue
    columns: Columns
    keys: dict[str, tuple[GlobalKey, ...]]
    rows: TenantRows

    @classmethod
    async def begin(
        cls, connection: AsyncConnection, store: ArchiveStore, folder: str, manifest: Manifest
    ) -> "_Restore":
        settings = {**_SETTINGS, "app.current_tenant": str(manifest.tenant_id)}
        await connection.execute(
            sa.select(*(sa.func.set_config(name, value, sa.true()) for name, value in settings.items()))
        )
        catalogue = (await read_catalogue(connection)).keeping(pending_tenant_deletions.name)
        return cls(
            connection,
            ArchiveReader(store, folder),
            manifest,
            catalogue,
            await read_columns(connection, catalogue),
            dict(await read_global_keys(connection, catalogue)),
            TenantRows(catalogue, manifest.tenant_id),
        )

    def refuse(self, refusals: Sequence[Refusal]) -> None:
        if refusals:
            raise RestoreRefusedError(refusals)

    async def refusals(self) -> list[Refusal]:
        """Return what is known before rows are compared."""
        if refusals := schema_refusals(self.catalogue, self.columns, self.manifest):
            return refusals
        refusals = await existing_rows(self.connection, self.rows)
        if USERS in archived_with_rows(self.manifest):
            async with self.connection.begin_nested() as comparing:
                staged = self._staged(USERS, COMPARED)
                await staged.fill(self.connection, self.reader)
                refusals += await taken_emails(self.connection, staged, self.manifest)
                await comparing.rollback()
        return refusals

    async def taken_keys(self) -> list[Refusal]:
        """Return the keys without the tenant that are taken."""
        staged = [self._staged(name, COMPARED) for name in sorted(archived_with_rows(self.manifest))]
        return await taken_keys(self.connection, self.reader, staged, self.keys)

    async def write(self, on_table: OnTable) -> RestoreReport:
        """Write all tables, parents first; references that must wait are set at the end."""
        plan = self.catalogue.deletion_plan()
        archived = archived_with_rows(self.manifest)
        late: dict[str, list[str]] = {}
        for cut in plan.cuts:
            if cut.kind is CutKind.CLEAR:
                late.setdefault(cut.key.child, []).extend(cut.key.clearable)
            elif cut.kind is CutKind.DEFER:
                await self._set_constraints(self.catalogue.tables[cut.key.child].schema, cut.key.name)
        staged: list[StagedTable] = []
        written: dict[str, int] = {}
        for table in reversed(plan.order):
            label = table.label
            if label not in archived:
                continue
            await on_table(label, sum(written.values()))
            drawn = tuple(key for key in self.keys.get(label, ()) if key.sequence is not None)
            if drawn or label in late:
                staging = self._staged(label, f"{STAGED}_{len(staged)}", tuple(late.get(label, ())), drawn)
                staged.append(staging)
                await staging.fill(self.connection, self.reader)
                written[label] = await staging.insert(self.connection)
            else:
                written[label] = await self.reader.copy(self.connection, archived[label], table.name, table.schema)
        for staging in staged:
            await staging.set_late(self.connection, self.rows)
        await self.connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
        await self._prove()
        return RestoreReport(written)

    async def _prove(self) -> None:
        """Compare the number of the tenant's rows in every table with the manifest."""
        expected = {table.name: table.rows for table in self.manifest.tables if table.rows}
        found = await count_tenant_rows(self.connection, self.catalogue, self.manifest.tenant_id)
        if found != expected:
            wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
            counts = ", ".join(f"{name} ({found.get(name, 0)} instead of {expected.get(name, 0)})" for name in wrong)
            self.refuse([Refusal(COUNT_DIFFERS, f"another number of rows would be restored in {counts}")])

    def _staged(
        self, label: str, name: str, late: tuple[str, ...] = (), drawn: tuple[GlobalKey, ...] = ()
    ) -> StagedTable:
        archived = archived_with_rows(self.manifest)[label]
        return StagedTable(name, self.catalogue.tables[label], archived, self.columns[label], late, drawn)

    async def _set_constraints(self, schema: str, name: str) -> None:
        quote = self.connection.dialect.identifier_preparer.quote
        await self.connection.exec_driver_sql(f"SET CONSTRAINTS {quote(schema)}.{quote(name)} DEFERRED")


def _missing_reference(error: PostgresError) -> Refusal:
    table, key = error.table_name or "?", error.constraint_name or "?"
    detail = f"rows of table {table} refer by {key} to rows that are in neither the archive nor this database"
    return Refusal(REFERENCE_MISSING, detail, table)


def _taken(error: PostgresError) -> Refusal:
    table, key = error.table_name or "?", error.constraint_name or "?"
    return Refusal(KEY_TAKEN, f"rows of table {table} have keys of {key} that are taken", table)
