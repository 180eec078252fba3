"""Counts the rows that a suspension would change, and those that one has changed."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database.live_columns import read_columns
from activities.database.own_tables import suspended_rows
from activities.suspensions.changes import CHANGES


async def count_changes(connection: AsyncConnection, tenant_id: UUID) -> dict[str, int]:
    """Return by table how many of the tenant's rows a suspension would change, as far as Alga has the columns."""
    live = await read_columns(connection, [change.table.name for change in CHANGES])
    counted = {}
    for change in CHANGES:
        if change.columns <= live:
            columns = change.table.c
            query = (
                sa.select(sa.func.count())
                .select_from(change.table)
                .where(columns.tenant == (change.owner or tenant_id), change.is_former, change.applies_to)
            )
            counted[change.table.name] = await connection.scalar(query) or 0
    return counted


async def count_recorded(connection: AsyncConnection, tenant_id: UUID) -> dict[str, int]:
    """Return by table how many rows the tenant's suspension has changed, which a reactivation would put back."""
    columns = suspended_rows.c
    query = (
        sa.select(columns.table_name, sa.func.count())
        .where(columns.tenant_id == tenant_id, columns.table_name.in_([change.recorded_as for change in CHANGES]))
        .group_by(columns.table_name)
    )
    return dict((await connection.execute(query)).all())
