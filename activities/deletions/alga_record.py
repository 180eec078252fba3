"""Alga's own record of a deletion, in `pending_tenant_deletions`, so that Alga's screens show it.

The table exists only in Alga's enterprise edition. Actors that are no UUID are null there, because Alga's columns
hold nothing else. Without a foreign key to the tenant, as on Citus, the row stays after the deletion.
"""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.across_tenants import parse_tenant_id
from activities.alga.lifecycle_tables import pending_tenant_deletions
from activities.database.errors import classify
from activities.suspensions.activities import ENDED_DELETIONS
from workflows.operations.messages import OperationContext, OperationWarning

# Alga shows this date before a confirmation.
UNCONFIRMED_PERIOD = timedelta(days=90)

_columns = pending_tenant_deletions.c
_LIMIT_TIME = sa.text("SELECT set_config('statement_timeout', :milliseconds, true)")
# The counts of Alga's screen by table, each with its condition. The largest tables come last.
COUNTS = {
    "users": {"userCount": "true", "activeUserCount": "is_inactive IS NOT TRUE"},
    "clients": {"clientCount": "true"},
    "contacts": {"contactCount": "true"},
    "projects": {"projectCount": "true"},
    "invoices": {"invoiceCount": "true"},
    "documents": {"documentCount": "true"},
    "tickets": {"ticketCount": "true", "openTicketCount": "closed_at IS NULL"},
}
# For all counts together. The driver's own limit, which would end the connection, is always longer.
COUNT_SECONDS = 1.0
NOT_COUNTED = "not-counted"

log = structlog.get_logger(__name__)


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


async def read_stats(connection: AsyncConnection, tenant_id: UUID) -> dict[str, int | None]:
    """Return the counts that Alga's screen shows, of the tables that exist; None for one that can't be made soon."""
    stats: dict[str, int | None] = {}
    until = time.monotonic() + COUNT_SECONDS
    for table, counts in COUNTS.items():
        if await connection.scalar(sa.select(sa.func.to_regclass(table))) is not None:
            stats |= await _count(connection, tenant_id, table, counts, until - time.monotonic())
    return stats


def warnings_of(stats: Mapping[str, Any]) -> list[OperationWarning]:
    """Return a warning that names the counts that are missing, if there are any."""
    missing = [name for counts in COUNTS.values() for name in counts if name in stats and stats[name] is None]
    if not missing:
        return []
    detail = (
        f"Alga's screen shows no {', '.join(missing)} of the tenant, because counting took too long or failed; "
        "nothing else is missing"
    )
    return [OperationWarning(code=NOT_COUNTED, detail=detail)]


async def _count(
    connection: AsyncConnection, tenant_id: UUID, table: str, counts: Mapping[str, str], seconds: float
) -> dict[str, int | None]:
    """Return the counts of a table, or None for each if they take longer, or the database refuses."""
    source = sa.table(table, sa.column("tenant", sa.Uuid))
    columns = (sa.func.count().filter(sa.text(condition)).label(name) for name, condition in counts.items())
    query = sa.select(*columns).select_from(source).where(source.c.tenant == tenant_id)
    try:
        # Its end restores the timeout.
        async with connection.begin_nested() as savepoint:
            await connection.execute(_LIMIT_TIME, {"milliseconds": str(max(1, int(seconds * 1000)))})
            found = (await connection.execute(query)).one()._asdict()
            await savepoint.rollback()
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        diagnosis = classify(error)
        reason = diagnosis.detail if diagnosis is not None else None
        log.warning("rows were not counted", tenant_id=str(tenant_id), table=table, reason=reason)
        return dict.fromkeys(counts)
    return found


def uuid_of(actor: str | None) -> UUID | None:
    """Return the actor as Alga's columns hold it, or None if it is no UUID."""
    return parse_tenant_id(actor) if actor is not None else None
