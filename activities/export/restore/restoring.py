"""Restores a tenant from an archive, in one transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import sqlalchemy as sa
import structlog
from asyncpg import ForeignKeyViolationError, IntegrityConstraintViolationError, PostgresError, UniqueViolationError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.lifecycle_tables import pending_tenant_deletions
from activities.database.errors import classify
from activities.export.archive import ArchivedTable, Manifest
from activities.export.columns import Columns, read_columns
from activities.export.exporting import SETTINGS
from activities.export.restore.checks import (
    KEY_TAKEN,
    existing_rows,
    schema_refusals,
    taken_emails,
    taken_keys,
)
from activities.export.restore.errors import Refusal, RestoreRefusedError
from activities.export.restore.keys import Key, read_keys
from activities.export.restore.parts import ArchiveReader
from activities.export.restore.proof import Proof
from activities.export.restore.staging import Drawn, StagedTable
from activities.export.storage import ArchiveStore
from activities.purge.catalogue import Catalogue, CutKind, DeletionPlan, read_catalogue
from activities.purge.tenant_rows import TenantRows
from activities.purge.trigger_guard import PendingTriggerEventsError, TriggerGuard
from activities.purge.triggers import Trigger

ROWS_DIFFER = "restore-incomplete"
REFERENCE_MISSING = "reference-missing"
USERS = "users"
# Temporary tables.
COMPARED, STAGED = "compared", "staged"

log = structlog.get_logger(__name__)

OnTable = Callable[[str, int], Awaitable[None]]


@dataclass(frozen=True)
class RestoreReport:
    """The rows that were written, by table, the keys that were drawn anew, and the triggers disabled meanwhile."""

    rows: dict[str, int]
    drawn: tuple[Drawn, ...]
    disabled_triggers: tuple[Trigger, ...]


@dataclass(frozen=True)
class RestorePreview:
    """The rows of an archive, by table, and the keys that would be drawn anew, unless there are `refusals`."""

    rows: dict[str, int]
    drawn: tuple[Drawn, ...]
    refusals: tuple[Refusal, ...]


class _ChangedRowsError(Exception):
    """Rows are not as they were written; one of the triggers has changed them. Without triggers, `error` is due."""

    def __init__(self, triggers: Sequence[Trigger], error: RestoreRefusedError) -> None:
        self.triggers = tuple(triggers)
        self.error = error
        super().__init__(", ".join(map(str, self.triggers)))


async def restore_tenant(
    connection: AsyncConnection, store: ArchiveStore, folder: str, manifest: Manifest, *, on_table: OnTable
) -> RestoreReport:
    """Write all rows of the archive within the caller's transaction, and prove that they are what is there then.

    The archive must have been verified. `on_table` is awaited before each table with the number of rows so far; it
    may raise to end the restore. Statements may take as long as they need.

    Raises `RestoreRefusedError` with all reasons, or an error of the database; nothing was written then, once the
    caller has rolled back.
    """
    restore = await _Restore.begin(connection, store, folder, manifest)
    restore.refuse(await restore.refusals())
    try:
        return await restore.write(on_table)
    except (IntegrityConstraintViolationError, IntegrityError) as error:
        cause = diagnosis.error if (diagnosis := classify(error)) is not None else error
        if isinstance(cause, ForeignKeyViolationError):
            restore.refuse([_missing_reference(cause)])
        if isinstance(cause, UniqueViolationError):
            # Now it is worth the time to find out which keys are taken.
            refusals, _ = await restore.taken_keys()
            restore.refuse(refusals or [_taken(cause)])
        raise


async def preview_restore(
    connection: AsyncConnection, store: ArchiveStore, folder: str, manifest: Manifest
) -> RestorePreview:
    """Return what would be restored, and everything that would keep it from being; the caller rolls back."""
    restore = await _Restore.begin(connection, store, folder, manifest)
    rows = {table.name: table.rows for table in manifest.tables if table.rows}
    refusals, drawn = await restore.refusals(), list[Drawn]()
    if not refusals:
        # Tables of another structure can't be compared.
        refusals, drawn = await restore.taken_keys()
    return RestorePreview(rows, tuple(drawn), tuple(refusals))


@dataclass
class _Restore:
    connection: AsyncConnection
    reader: ArchiveReader
    manifest: Manifest
    catalogue: Catalogue
    columns: Columns
    keys: dict[str, tuple[Key, ...]]
    rows: TenantRows

    @classmethod
    async def begin(
        cls, connection: AsyncConnection, store: ArchiveStore, folder: str, manifest: Manifest
    ) -> "_Restore":
        # A trigger of `audit_logs` takes the tenant from a setting.
        settings = {**SETTINGS, "app.current_tenant": str(manifest.tenant_id)}
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
            dict(await read_keys(connection, catalogue)),
            TenantRows(catalogue, manifest.tenant_id),
        )

    @cached_property
    def archived(self) -> dict[str, ArchivedTable]:
        """The tables that have a part, by name."""
        return {table.name: table for table in self.manifest.tables if table.part is not None}

    @cached_property
    def plan(self) -> DeletionPlan:
        """The order of the tables, children before parents."""
        return self.catalogue.deletion_plan()

    def refuse(self, refusals: Sequence[Refusal]) -> None:
        if refusals:
            raise RestoreRefusedError(refusals)

    async def refusals(self) -> list[Refusal]:
        """Return what is known before rows are compared."""
        if refusals := schema_refusals(self.plan, self.columns, self.manifest):
            return refusals
        refusals = await existing_rows(self.connection, self.rows)
        if USERS in self.archived:
            async with self.connection.begin_nested() as comparing:
                staged = self._staged(USERS, COMPARED)
                await staged.fill(self.connection, self.reader)
                refusals += await taken_emails(self.connection, staged, self.manifest)
                await comparing.rollback()
        return refusals

    async def taken_keys(self) -> tuple[list[Refusal], list[Drawn]]:
        """Return the keys without the tenant that are taken, and those that are drawn anew."""
        staged = [self._staged(name, COMPARED) for name in sorted(self.archived)]
        return await taken_keys(self.connection, self.reader, staged, self.keys)

    async def write(self, on_table: OnTable) -> RestoreReport:
        """Write all tables; triggers that refuse or change rows are disabled, which locks their tables meanwhile."""
        disabled: tuple[Trigger, ...] = ()
        while True:
            try:
                async with self.connection.begin_nested():
                    return await self._write(on_table, disabled)
            except (PendingTriggerEventsError, _ChangedRowsError) as error:
                if set(error.triggers) <= set(disabled):
                    raise error.error from None
                log.info("a restore begins again without triggers", triggers=list(map(str, error.triggers)))
                disabled = tuple(dict.fromkeys([*disabled, *error.triggers]))

    async def _write(self, on_table: OnTable, disabled: Sequence[Trigger]) -> RestoreReport:
        """Write all tables, parents first; references that must wait are set at the end."""
        guard = TriggerGuard(self.connection, self.catalogue)
        await guard.disable(disabled)
        late: dict[str, list[str]] = {}
        for cut in self.plan.cuts:
            if cut.kind is CutKind.CLEAR:
                late.setdefault(cut.key.child, []).extend(cut.key.clearable)
            elif cut.kind is CutKind.DEFER:
                await self._set_constraints(self.catalogue.tables[cut.key.child].schema, cut.key.name)
        staged: dict[str, StagedTable] = {}
        written: dict[str, int] = {}
        drawn: list[Drawn] = []
        for table in reversed(self.plan.order):
            label = table.label
            if label not in self.archived:
                continue
            await on_table(label, sum(written.values()))
            send = partial(self.reader.copy, self.connection, self.archived[label], table.name, table.schema)
            staging = self._staged(label, f"{STAGED}_{len(staged)}", tuple(late.get(label, ())))
            if staging.is_needed:
                staged[label] = staging
                await staging.fill(self.connection, self.reader)
                drawn += await staging.draw(self.connection)
                send = partial(staging.insert, self.connection)
            written[label] = await guard.write(label, send)
        for label in late.keys() & staged.keys():
            set_late = partial(staged[label].set_late, self.connection, self.rows)
            await guard.write(label, set_late, is_update=True)
        await guard.settle()
        await self._prove(guard, staged)
        await guard.enable_all()
        return RestoreReport(written, tuple(drawn), tuple(guard.disabled))

    async def _prove(self, guard: TriggerGuard, staged: Mapping[str, StagedTable]) -> None:
        """Raise unless the tenant has the archive's rows; `_ChangedRowsError` if triggers may have changed some."""
        proof = Proof(self.connection, self.manifest, self.catalogue, self.columns, self.rows)
        differing = await proof.other_counts()
        if guard.running and not differing:
            # Only triggers make another row of one that was written.
            differing = dict.fromkeys(await proof.other_contents(staged), "other values")
        if not differing:
            return
        shown = ", ".join(f"{name} ({difference})" for name, difference in differing.items())
        refusal = Refusal(ROWS_DIFFER, f"other rows than those of the archive would be restored in {shown}")
        own = {trigger for label in differing for trigger in self.catalogue.triggers.get(label, ())}
        raise _ChangedRowsError(
            tuple(trigger for trigger in guard.running if trigger in own) or guard.running,
            RestoreRefusedError([refusal]),
        )

    def _staged(self, label: str, name: str, late: tuple[str, ...] = ()) -> StagedTable:
        sequences = tuple(key.sequence for key in self.keys.get(label, ()) if key.sequence is not None)
        table, archived = self.catalogue.tables[label], self.archived[label]
        return StagedTable(name, table, archived, self.columns[label], late, sequences)

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
