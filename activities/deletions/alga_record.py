"""Alga's own record of a deletion, in `pending_tenant_deletions`, so that Alga's screens show it.

The table exists only in Alga's enterprise edition. Actors that are no UUID are null there, because Alga's columns
hold nothing else. Without a foreign key to the tenant, as on Citus, the row stays after the deletion.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.across_tenants import parse_tenant_id
from activities.alga.lifecycle_tables import pending_tenant_deletions
from activities.suspensions.activities import ENDED_DELETIONS
from workflows.operations.messages import OperationContext

# Alga shows this date before a confirmation.
UNCONFIRMED_PERIOD = timedelta(days=90)

_columns = pending_tenant_deletions.c
# Tables that Alga counts for its screen: the name of the count, the table, and a condition.
COUNTS = {
    "userCount": ("users", None),
    "activeUserCount": ("users", "is_inactive IS NOT TRUE"),
    "ticketCount": ("tickets", None),
    "openTicketCount": ("tickets", "closed_at IS NULL"),
    "invoiceCount": ("invoices", None),
    "projectCount": ("projects", None),
    "documentCount": ("documents", None),
    "clientCount": ("clients", None),
    "contactCount": ("contacts", None),
}


async def has_record_table(connection: AsyncConnection) -> bool:
    """Return whether this Alga has the table."""
    found = await connection.scalar(sa.text("SELECT to_regclass('pending_tenant_deletions') IS NOT NULL"))
    return bool(found)


async def insert_record(
    connection: AsyncConnection,
    context: OperationContext,
    deletion_id: UUID,
    *,
    status: str,
    trigger_source: str,
    triggered_by: str | None,
    subscription: str | None,
    stats: dict[str, Any],
) -> None:
    """Record the deletion, in place of an ended one."""
    tenant_id = context.tenant_id
    now = (await connection.execute(sa.select(sa.func.now()))).scalar_one()
    await connection.execute(
        sa.delete(pending_tenant_deletions).where(_columns.tenant == tenant_id, _columns.status.in_(ENDED_DELETIONS))
    )
    await connection.execute(
        sa.insert(pending_tenant_deletions).values(
            deletion_id=deletion_id,
            tenant=tenant_id,
            trigger_source=trigger_source,
            triggered_by=uuid_of(triggered_by),
            subscription_external_id=subscription,
            canceled_at=now,
            scheduled_deletion_date=now + UNCONFIRMED_PERIOD,
            workflow_id=context.workflow_id,
            workflow_run_id=context.run_id,
            status=status,
            stats_snapshot=stats,
            created_at=now,
            updated_at=now,
        )
    )


async def update_record(
    connection: AsyncConnection, tenant_id: UUID, deletion_id: UUID, status: str, **values: Any
) -> None:
    """Change the record of a deletion if this Alga has the table; a record that is gone stays gone."""
    if not await has_record_table(connection):
        return
    now = await connection.scalar(sa.select(sa.func.now()))
    await connection.execute(
        sa.update(pending_tenant_deletions)
        .where(_columns.tenant == tenant_id, _columns.deletion_id == deletion_id)
        .values(status=status, updated_at=now, **values)
    )


async def find_stats(connection: AsyncConnection, tenant_id: UUID) -> dict[str, Any] | None:
    """Return the counts of the tenant's record, or None if there is none."""
    if not await has_record_table(connection):
        return None
    stats: dict[str, Any] | None = await connection.scalar(
        sa.select(_columns.stats_snapshot).where(_columns.tenant == tenant_id)
    )
    return stats


async def read_stats(connection: AsyncConnection, tenant_id: UUID) -> dict[str, Any]:
    """Return the counts that Alga's screen shows, of the tables that exist."""
    tables = sorted({table for table, _ in COUNTS.values()})
    known = {name: await connection.scalar(sa.select(sa.func.to_regclass(name))) is not None for name in tables}
    stats: dict[str, Any] = {}
    for name, (table, condition) in COUNTS.items():
        if known[table]:
            source = sa.table(table, sa.column("tenant", sa.Uuid))
            query = sa.select(sa.func.count()).select_from(source).where(source.c.tenant == tenant_id)
            stats[name] = await connection.scalar(query.where(sa.text(condition)) if condition else query)
    return stats


def uuid_of(actor: str | None) -> UUID | None:
    """Return the actor as Alga's columns hold it, or None if it is no UUID."""
    return parse_tenant_id(actor) if actor is not None else None
