"""The `exports` table: one row for each export, which shows its progress and identifies its archive."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4, uuid5

from sqlalchemy import and_, false, func, not_, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database.own_tables import exports, operations
from activities.export.archive import Manifest, export_folder
from workflows.operations.messages import UNKNOWN_CALLER, OperationContext
from workflows.operations.statuses import OperationStatus

# Namespace of the ids of exports.
EXPORTS = UUID("d6a6f0ce-0a4b-4a6c-9c61-5a3b4a1f7f02")


@dataclass(frozen=True)
class ExportRecord:
    """A row of `exports`."""

    export_id: UUID
    tenant_id: UUID
    tenant_name: str | None
    workflow_id: str
    run_id: str
    include_secrets: bool
    requested_at: datetime
    reason: str | None
    requested_by: str | None
    requested_via: str | None
    folder: str | None
    manifest_sha256: str | None
    current_table: str | None
    tables_done: int
    tables_total: int
    rows: int
    bytes: int
    completed_at: datetime | None
    expires_at: datetime | None
    removed_at: datetime | None

    @property
    def is_kept(self) -> bool:
        """Whether the archive is complete and has not been removed."""
        return self.completed_at is not None and self.removed_at is None

    @property
    def home(self) -> str:
        """The folder of all attempts in the store."""
        return export_folder(self.tenant_id, str(self.export_id))


class ArchiveState(StrEnum):
    """Whether an export has an archive."""

    KEPT = "kept"
    GONE = "gone"
    """It has expired or was removed."""
    UNFINISHED = "unfinished"
    """The export is running, or has ended without one."""


class ExportState(StrEnum):
    """The state of an export."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """The archive has expired or was removed."""


@dataclass(frozen=True)
class ExportFilter:
    """Conditions for a list of exports; `name` is a part of the tenant's name."""

    tenant_id: UUID | None = None
    name: str | None = None
    archive: ArchiveState | None = None
    state: ExportState | None = None


def export_id(context: OperationContext) -> UUID:
    """Return the id of an operation's export, the same in each attempt."""
    return uuid5(EXPORTS, f"{context.workflow_id}\0{context.run_id}")


async def insert_export(
    connection: AsyncConnection, context: OperationContext, *, include_secrets: bool, reason: str | None
) -> None:
    """Record a requested export; a second run changes nothing."""
    snapshot = context.snapshot
    await connection.execute(
        postgres_insert(exports).on_conflict_do_nothing(),
        {
            "export_id": export_id(context),
            "tenant_id": context.tenant_id,
            "tenant_name": snapshot.tenant_name,
            "workflow_id": context.workflow_id,
            "run_id": context.run_id,
            "include_secrets": include_secrets,
            "reason": reason,
            "requested_by": snapshot.requested_by or UNKNOWN_CALLER,
            "requested_via": snapshot.requested_via or UNKNOWN_CALLER,
        },
    )


async def insert_imported(connection: AsyncConnection, manifest: Manifest, **archive: Any) -> bool:
    """Record an archive of another installation as complete, by further columns; False if one is kept already."""
    imported = {
        "tenant_id": manifest.tenant_id,
        "tenant_name": manifest.tenant_name,
        "workflow_id": f"archive-import-{manifest.export_id}",
        "run_id": str(uuid4()),
        "include_secrets": not manifest.masked,
        "manifest_sha256": manifest.sha256,
        "tables_done": manifest.totals.tables,
        "tables_total": manifest.totals.tables,
        "rows": manifest.totals.rows,
        "bytes": manifest.totals.bytes,
        "requested_at": func.now(),
        "completed_at": func.now(),
        "removed_at": None,
        **archive,
    }
    insert = postgres_insert(exports).values(export_id=UUID(manifest.export_id), **imported)
    written = await connection.execute(
        insert.on_conflict_do_update(
            index_elements=[exports.c.export_id], set_=imported, where=exports.c.removed_at.is_not(None)
        )
    )
    return bool(written.rowcount)


async def show_progress(connection: AsyncConnection, context: OperationContext, **progress: Any) -> None:
    """Show how far a running export is, by columns of the table."""
    await connection.execute(_of(context).where(exports.c.completed_at.is_(None)).values(progress))


async def complete_export(
    connection: AsyncConnection, context: OperationContext, *, kept_for: timedelta, **archive: Any
) -> None:
    """Record the archive of a completed export, by columns of the table."""
    await connection.execute(
        _of(context).values(completed_at=func.now(), expires_at=func.now() + kept_for, current_table=None, **archive)
    )


async def expire_export(connection: AsyncConnection, wanted: UUID) -> None:
    """Let a kept archive expire now, so that it is no longer served; a removed one stays as it is."""
    is_kept = (exports.c.export_id == wanted, exports.c.completed_at.is_not(None), exports.c.removed_at.is_(None))
    earlier = func.least(exports.c.expires_at, func.now())
    await connection.execute(update(exports).where(*is_kept).values(expires_at=earlier))


async def mark_removed(connection: AsyncConnection, wanted: UUID) -> None:
    """Record that the files of an archive were removed."""
    is_unmarked = (exports.c.export_id == wanted, exports.c.removed_at.is_(None))
    await connection.execute(update(exports).where(*is_unmarked).values(removed_at=func.now()))


async def find_export(connection: AsyncConnection, wanted: UUID) -> ExportRecord | None:
    """Return an export, or None."""
    row = (await connection.execute(select(exports).where(exports.c.export_id == wanted))).one_or_none()
    return ExportRecord(**row._asdict()) if row is not None else None


async def list_exports(
    connection: AsyncConnection, wanted: ExportFilter, *, limit: int, after: tuple[datetime, UUID] | None = None
) -> list[ExportRecord]:
    """Return exports, newest first, that follow the given (requested_at, export_id)."""
    columns = exports.c
    key = (columns.requested_at, columns.export_id)
    query = select(exports)
    if wanted.tenant_id is not None:
        query = query.where(columns.tenant_id == wanted.tenant_id)
    if wanted.name is not None:
        query = query.where(columns.tenant_name.icontains(wanted.name, autoescape=True))
    if wanted.archive is not None:
        query = query.where(_has_archive(wanted.archive))
    if wanted.state is not None:
        query = query.where(_is_in_state(wanted.state))
    if after is not None:
        query = query.where(tuple_(*key) < tuple_(*after))
    rows = await connection.execute(query.order_by(*(column.desc() for column in key)).limit(limit))
    return [ExportRecord(**row._asdict()) for row in rows]


def _has_archive(state: ArchiveState) -> Any:
    columns = exports.c
    is_complete = columns.completed_at.is_not(None)
    is_gone = or_(columns.removed_at.is_not(None), func.coalesce(columns.expires_at <= func.now(), false()))
    match state:
        case ArchiveState.KEPT:
            return and_(is_complete, not_(is_gone))
        case ArchiveState.GONE:
            return and_(is_complete, is_gone)
        case ArchiveState.UNFINISHED:
            return not_(is_complete)


def _is_in_state(state: ExportState) -> Any:
    """Return the condition for a state; that of an export without an archive depends on its operation's row."""
    own = operations.c
    of_export = select(own.workflow_id).where(
        own.workflow_id == exports.c.workflow_id, own.run_id == exports.c.run_id
    )
    final = [status for status in OperationStatus if not status.is_open]
    is_running = of_export.where(own.status.not_in(final)).exists()
    is_cancelled = of_export.where(own.status == OperationStatus.CANCELLED).exists()
    is_unfinished = _has_archive(ArchiveState.UNFINISHED)
    match state:
        case ExportState.COMPLETED:
            return _has_archive(ArchiveState.KEPT)
        case ExportState.EXPIRED:
            return _has_archive(ArchiveState.GONE)
        case ExportState.RUNNING:
            return and_(is_unfinished, is_running)
        case ExportState.CANCELLED:
            return and_(is_unfinished, is_cancelled)
        case ExportState.FAILED:
            return and_(is_unfinished, not_(is_running), not_(is_cancelled))


def _of(context: OperationContext) -> Any:
    return update(exports).where(exports.c.export_id == export_id(context))
