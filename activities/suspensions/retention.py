"""Deletes the records of suspensions that can no longer be ended, because their tenants are gone for good."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import exists, not_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.tables import tenants
from activities.database.id_lists import id_parameters, id_values
from activities.database.own_tables import exports, operations, suspensions
from activities.suspensions.rows import forget

BATCH = 500
NIL = UUID(int=0)


async def prune_suspensions(engine: AsyncEngine) -> int:
    """Delete the records of tenants that don't exist and can't be restored, and return the number of tenants.

    A tenant can be restored while an archive of it is kept.
    """
    pruned, last = 0, NIL
    while batch := await _without_archive(engine, after=last):
        last = batch[-1]
        async with engine.begin() as connection:
            query = select(tenants.c.tenant).where(tenants.c.tenant.in_(id_parameters(len(batch))))
            living = set(await connection.scalars(query, id_values(batch)))
            for tenant_id in [tenant_id for tenant_id in batch if tenant_id not in living]:
                await forget(connection, tenant_id)
                pruned += 1
    return pruned


async def _without_archive(engine: AsyncEngine, *, after: UUID) -> Sequence[UUID]:
    """Return the suspended tenants without an archive and without an operation, which may be a restore."""
    tenant_id = suspensions.c.tenant_id
    has_archive = exists().where(
        exports.c.tenant_id == tenant_id, exports.c.completed_at.is_not(None), exports.c.removed_at.is_(None)
    )
    has_operation = exists().where(operations.c.tenant_id == tenant_id, operations.c.finished_at.is_(None))
    query = select(tenant_id).where(tenant_id > after, not_(has_archive), not_(has_operation))
    async with engine.connect() as connection:
        return (await connection.scalars(query.order_by(tenant_id).limit(BATCH))).all()
