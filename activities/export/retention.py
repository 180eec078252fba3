"""Removes archives that have expired, and what exports left that did not complete."""

from uuid import UUID

from sqlalchemy import and_, exists, func, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.database.own_tables import exports, operations
from activities.export.archive import export_folder
from activities.export.storage import ArchiveStore

# In one round of maintenance.
MAX_REMOVED = 100


async def remove_archives(engine: AsyncEngine, store: ArchiveStore) -> int:
    """Remove the files of expired exports, and of those that ended without an archive; return the number of exports.

    A second run removes nothing. Raises `StorageError`, or an error of the database.
    """
    async with engine.connect() as connection:
        unwanted = await _unwanted(connection)
    for tenant_id, export_id in unwanted:
        await store.delete_prefix(export_folder(tenant_id, str(export_id)))
        async with engine.begin() as connection:
            await connection.execute(
                update(exports)
                .where(exports.c.tenant_id == tenant_id, exports.c.export_id == export_id)
                .values(removed_at=func.now())
            )
    return len(unwanted)


async def _unwanted(connection: AsyncConnection) -> list[tuple[UUID, UUID]]:
    columns = exports.c
    # The operation of an old export may be gone.
    is_running = exists().where(
        operations.c.workflow_id == columns.workflow_id,
        operations.c.run_id == columns.run_id,
        operations.c.finished_at.is_(None),
    )
    is_unwanted = or_(columns.expires_at < func.now(), and_(columns.completed_at.is_(None), not_(is_running)))
    query = select(columns.tenant_id, columns.export_id).where(columns.removed_at.is_(None), is_unwanted)
    rows = await connection.execute(query.order_by(columns.requested_at).limit(MAX_REMOVED))
    return [(tenant_id, export_id) for tenant_id, export_id in rows]
