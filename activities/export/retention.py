"""Removes archives that have expired, and what exports left that did not complete."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.database.own_tables import exports, operations
from activities.export.archive import export_folder
from activities.export.storage import ArchiveStore, StorageError

# In one round of maintenance.
MAX_REMOVED = 100
MAX_FAILURES = 3
OVERDUE_AFTER = timedelta(hours=1)


@dataclass(frozen=True)
class Removal:
    """How many exports had their files removed, and the first error if there was one."""

    removed: int
    failure: StorageError | None = None


@dataclass(frozen=True)
class ArchiveCount:
    """The number of archives, and their compressed bytes."""

    number: int
    bytes: int


async def remove_archives(engine: AsyncEngine, store: ArchiveStore) -> Removal:
    """Remove the files of expired exports, and of those that ended without an archive.

    A second run removes nothing. Files that can't be removed don't keep others from being removed, until that fails
    several times. Raises an error of the database.
    """
    async with engine.connect() as connection:
        unwanted = await _unwanted(connection)
    removed, failures = 0, list[StorageError]()
    for tenant_id, export_id in unwanted:
        try:
            await store.delete_prefix(export_folder(tenant_id, str(export_id)))
        except StorageError as error:
            failures.append(error)
            if len(failures) == MAX_FAILURES:
                break
            continue
        async with engine.begin() as connection:
            await connection.execute(
                update(exports)
                .where(exports.c.tenant_id == tenant_id, exports.c.export_id == export_id)
                .values(removed_at=func.now())
            )
        removed += 1
    return Removal(removed, failures[0] if failures else None)


async def count_archives(connection: AsyncConnection) -> dict[str, ArchiveCount]:
    """Count archives: those that are kept, and the rests that should have been removed an hour ago (`overdue`)."""
    columns = exports.c
    states = {
        "kept": and_(columns.completed_at.is_not(None), columns.expires_at > func.now()),
        "overdue": _is_unwanted(OVERDUE_AFTER),
    }
    counts = [
        value.filter(condition) for condition in states.values() for value in (func.count(), func.sum(columns.bytes))
    ]
    found = [int(value or 0) for value in (await connection.execute(_remaining(*counts))).one()]
    return {state: ArchiveCount(*found[2 * place : 2 * place + 2]) for place, state in enumerate(states)}


async def _unwanted(connection: AsyncConnection) -> list[tuple[UUID, UUID]]:
    columns = exports.c
    query = _remaining(columns.tenant_id, columns.export_id).where(_is_unwanted())
    rows = await connection.execute(query.order_by(columns.requested_at).limit(MAX_REMOVED))
    return [(tenant_id, export_id) for tenant_id, export_id in rows]


def _remaining(*columns: ColumnElement[Any]) -> Select[Any]:
    return select(*columns).where(exports.c.removed_at.is_(None))


def _is_unwanted(overdue_after: timedelta = timedelta(0)) -> ColumnElement[bool]:
    """Return whether an export has no use for its files, and has had none for some time."""
    columns, since = exports.c, func.now() - overdue_after
    # The operation of an old export may be gone.
    is_running = exists().where(
        operations.c.workflow_id == columns.workflow_id,
        operations.c.run_id == columns.run_id,
        or_(operations.c.finished_at.is_(None), operations.c.finished_at > since),
    )
    is_broken = and_(columns.completed_at.is_(None), columns.requested_at <= since, not_(is_running))
    return or_(columns.expires_at <= since, is_broken)
