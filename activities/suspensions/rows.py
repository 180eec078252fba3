"""Suspends a tenant in Alga's tables, records each changed row, and undoes exactly that.

Alga's jobs skip a tenant with `tenants.suspended_at`, Alga lets no inactive user sign in, and it reads no mail of a
provider with `inbound_paused_at`. Reason `tenant_cancelled` is the only one that Alga's CHECK accepts.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.bulk_insert import to_json
from activities.alga.lifecycle_tables import email_providers
from activities.alga.tables import tenants, users
from activities.database.own_tables import suspended_rows, suspensions
from workflows.operations.messages import OperationContext

REASON = "tenant_cancelled"
# Rows in one statement: each is a parameter, of which PostgreSQL takes 32,767.
BATCH = 1000

_NOW = sa.bindparam("now", type_=sa.DateTime(timezone=True))


@dataclass(frozen=True)
class Change:
    """What a suspension changes in one table.

    `values` are set in the tenant's rows that `applies_to`, and put back in those that are `unchanged` since.
    """

    table: Any
    id: str
    values: Mapping[str, Any]
    applies_to: sa.ColumnElement[bool]
    unchanged: sa.ColumnElement[bool] = field(default_factory=sa.true)


# The tenant last, so that Alga's jobs see either a working tenant or one that is suspended in every part.
CHANGES = (
    Change(users, "user_id", {"is_inactive": sa.true()}, users.c.is_inactive.is_not(sa.true())),
    Change(
        email_providers,
        "id",
        {"inbound_paused_at": _NOW, "inbound_pause_reason": sa.literal(REASON)},
        sa.and_(email_providers.c.is_active.is_not(sa.false()), email_providers.c.inbound_paused_at.is_(None)),
        email_providers.c.inbound_pause_reason == REASON,
    ),
    Change(
        tenants,
        "tenant",
        {"suspended_at": _NOW, "suspended_reason": sa.literal(REASON)},
        tenants.c.suspended_at.is_(None),
        tenants.c.suspended_reason == REASON,
    ),
)


async def find_suspension(connection: AsyncConnection, tenant_id: UUID) -> sa.Row[Any] | None:
    """Return our record of the tenant's suspension, or None."""
    query = sa.select(suspensions).where(suspensions.c.tenant_id == tenant_id)
    return (await connection.execute(query)).one_or_none()


async def suspend(connection: AsyncConnection, context: OperationContext, reason: str | None) -> bool:
    """Suspend the operation's tenant and record what is changed; False if we have suspended it before.

    Parts that this version of Alga lacks are left out.
    """
    tenant_id = context.tenant_id
    inserted = await connection.execute(
        sa.dialects.postgresql.insert(suspensions).on_conflict_do_nothing(),
        {
            "tenant_id": tenant_id,
            "workflow_id": context.workflow_id,
            "run_id": context.run_id,
            "reason": reason,
            "requested_by": context.snapshot.requested_by,
            "requested_via": context.snapshot.requested_via,
        },
    )
    if not inserted.rowcount:
        return False
    now = (await connection.execute(sa.select(sa.func.now()))).scalar_one()
    for change in CHANGES:
        if await _is_known(connection, change):
            await _apply(connection, tenant_id, change, now)
    return True


async def reactivate(
    connection: AsyncConnection, tenant_id: UUID, suspended_by: OperationContext | None = None
) -> bool:
    """Undo the tenant's suspension row by row; False if there is none, or not of the given operation."""
    columns = suspensions.c
    ended = sa.delete(suspensions).where(columns.tenant_id == tenant_id)
    if suspended_by is not None:
        ended = ended.where(columns.workflow_id == suspended_by.workflow_id, columns.run_id == suspended_by.run_id)
    if not (await connection.execute(ended)).rowcount:
        return False
    for change in CHANGES:
        await _put_back(connection, tenant_id, change)
    await forget(connection, tenant_id)
    return True


async def forget(connection: AsyncConnection, tenant_id: UUID) -> None:
    """Delete our records of a tenant's suspension, once it is undone or its rows are deleted."""
    for table in (suspended_rows, suspensions):
        await connection.execute(sa.delete(table).where(table.c.tenant_id == tenant_id))


async def _is_known(connection: AsyncConnection, change: Change) -> bool:
    """Return whether the live table has the columns that the change needs."""
    wanted = [column.name for column in change.table.c if column.name in change.values]
    found = await connection.scalar(
        sa.text(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attnum > 0"
            " AND NOT attisdropped AND attname IN :names"
        ).bindparams(sa.bindparam("names", expanding=True)),
        {"table": change.table.name, "names": wanted},
    )
    return bool(found == len(wanted))


async def _apply(connection: AsyncConnection, tenant_id: UUID, change: Change, now: datetime) -> None:
    columns = change.table.c
    chosen = sa.and_(columns.tenant == tenant_id, change.applies_to)
    former = [columns[name] for name in change.values]
    rows = (await connection.execute(sa.select(columns[change.id], *former).where(chosen).with_for_update())).all()
    values = {"now": now} if any(value is _NOW for value in change.values.values()) else {}
    for batch in _batches(rows):
        records = [
            {"row_id": str(row_id), "before": dict(zip(change.values, was, strict=True))} for row_id, *was in batch
        ]
        await connection.execute(
            sa.text(
                "INSERT INTO alga_tenants.suspended_rows (tenant_id, table_name, row_id, before)"
                " SELECT :tenant, :table, row_id, before"
                " FROM jsonb_to_recordset(CAST(:records AS jsonb)) AS record(row_id text, before jsonb)"
            ).bindparams(sa.bindparam("tenant", type_=sa.Uuid), sa.bindparam("table", type_=sa.Text)),
            {"tenant": tenant_id, "table": change.table.name, "records": to_json(records)},
        )
        # By id, because a row that was added meanwhile is not recorded.
        ids = [row_id for row_id, *_ in batch]
        of_batch = sa.and_(columns.tenant == tenant_id, columns[change.id].in_(ids))
        await connection.execute(sa.update(change.table).where(of_batch).values(change.values), values)


async def _put_back(connection: AsyncConnection, tenant_id: UUID, change: Change) -> None:
    columns = change.table.c
    recorded = await connection.execute(
        sa.select(suspended_rows.c.row_id, suspended_rows.c.before).where(
            suspended_rows.c.tenant_id == tenant_id, suspended_rows.c.table_name == change.table.name
        )
    )
    by_value: dict[tuple[Any, ...], list[UUID]] = defaultdict(list)
    for row_id, before in recorded:
        by_value[tuple(before[name] for name in change.values)].append(UUID(row_id))
    for former, ids in by_value.items():
        values = dict(zip(change.values, former, strict=True))
        for batch in _batches(ids):
            await connection.execute(
                sa.update(change.table)
                .where(columns.tenant == tenant_id, columns[change.id].in_(batch), change.unchanged)
                .values(values)
            )


def _batches(items: Sequence[Any]) -> Iterator[list[Any]]:
    remaining = iter(items)
    while batch := list(islice(remaining, BATCH)):
        yield batch
