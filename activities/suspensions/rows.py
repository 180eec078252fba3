"""Suspends a tenant in Alga's tables, records each row that it changes, and undoes exactly that."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.bulk_insert import to_json
from activities.alga.tables import tenants
from activities.database.live_columns import read_columns
from activities.database.own_tables import suspended_rows, suspensions
from activities.suspensions.changes import CHANGES, TENANT_ROW, Change
from workflows.operations.messages import OperationContext, OperationWarning

SUSPENSION_INCOMPLETE = "suspension-incomplete"
STILL_SUSPENDED = "still-suspended"
# Ids in one statement: each is a parameter, of which PostgreSQL takes 32,767.
MAX_IDS = 10_000

_TABLES = [change.table.name for change in CHANGES]
_RECORD = sa.text(
    "INSERT INTO alga_tenants.suspended_rows (tenant_id, table_name, row_id, before)"
    " SELECT :tenant, :table, row_id, CAST(:before AS jsonb)"
    " FROM jsonb_array_elements_text(CAST(:ids AS jsonb)) AS changed(row_id)"
    " ON CONFLICT (tenant_id, table_name, row_id) DO UPDATE SET before = EXCLUDED.before"
).bindparams(sa.bindparam("tenant", type_=sa.Uuid), sa.bindparam("table", type_=sa.Text))


class Standing(Enum):
    """Whether a tenant is suspended, and by whom."""

    ACTIVE = auto()
    SUSPENDED = auto()  # By us.
    SUSPENDED_BY_ALGA = auto()
    LIFTED = auto()  # By us, and reactivated by others since. What is still changed can be undone.

    @property
    def is_suspended(self) -> bool:
        """Whether the tenant is suspended."""
        return self in {Standing.SUSPENDED, Standing.SUSPENDED_BY_ALGA}

    @property
    def has_record(self) -> bool:
        """Whether there is a record of what a suspension has changed."""
        return self in {Standing.SUSPENDED, Standing.LIFTED}


@dataclass(frozen=True)
class SuspensionRecord:
    """Why, when and for whom we have suspended a tenant."""

    workflow_id: str
    reason: str | None
    requested_by: str | None
    suspended_at: datetime


@dataclass
class Changed:
    """The number of rows that were changed or put back, by table, and what could not be done."""

    rows: dict[str, int] = field(default_factory=dict)
    warnings: list[OperationWarning] = field(default_factory=list)


async def find_standing(connection: AsyncConnection, tenant_id: UUID) -> Standing:
    """Return whether the tenant is suspended, by our record and, unless this Alga lacks it, by Alga's column."""
    return await _standing(connection, tenant_id, await read_columns(connection, _TABLES))


async def find_record(connection: AsyncConnection, tenant_id: UUID) -> SuspensionRecord | None:
    """Return our record of the tenant's suspension, if there is one."""
    columns = suspensions.c
    query = sa.select(columns.workflow_id, columns.reason, columns.requested_by, columns.suspended_at)
    row = (await connection.execute(query.where(columns.tenant_id == tenant_id))).one_or_none()
    return SuspensionRecord(**row._asdict()) if row is not None else None


async def suspend(connection: AsyncConnection, context: OperationContext, reason: str | None) -> Changed:
    """Suspend the operation's tenant and record what is changed; nothing if it is suspended by us.

    The tenant must be locked. What a version of Alga has no columns for is left out, and the warnings say so.
    """
    tenant_id = context.tenant_id
    live = await read_columns(connection, _TABLES)
    changed = Changed(warnings=_left_out(live))
    if await _standing(connection, tenant_id, live) is Standing.SUSPENDED:
        return changed
    now = (await connection.execute(sa.select(sa.func.now()))).scalar_one()
    by = {
        "workflow_id": context.workflow_id,
        "run_id": context.run_id,
        "reason": reason,
        "requested_by": context.snapshot.requested_by,
        "requested_via": context.snapshot.requested_via,
        "suspended_at": now,
    }
    # A suspension that others have lifted in part keeps its records: what is still changed is put back with the rest.
    record = postgres_insert(suspensions).values(tenant_id=tenant_id, **by)
    await connection.execute(record.on_conflict_do_update(index_elements=[suspensions.c.tenant_id], set_=by))
    for change in CHANGES:
        if change.columns <= live:
            changed.rows[change.table.name] = await apply_change(connection, tenant_id, change, now)
    return changed


async def find_left_out(connection: AsyncConnection) -> list[OperationWarning]:
    """Return the warnings of what a suspension leaves out, because this version of Alga has no columns for it."""
    return _left_out(await read_columns(connection, _TABLES))


async def reactivate(
    connection: AsyncConnection, tenant_id: UUID, suspended_by: OperationContext | None = None
) -> Changed | None:
    """Undo the tenant's suspension row by row; None if there is none, or not of the given operation.

    A row that was changed since, or deleted, is left alone.
    """
    columns = suspensions.c
    ended = sa.delete(suspensions).where(columns.tenant_id == tenant_id)
    if suspended_by is not None:
        ended = ended.where(columns.workflow_id == suspended_by.workflow_id, columns.run_id == suspended_by.run_id)
    if not (await connection.execute(ended)).rowcount:
        return None
    changed = Changed()
    recorded = await read_recorded(connection, tenant_id)
    for change in CHANGES:
        changed.rows[change.table.name] = await put_back(connection, tenant_id, change, recorded[change.table.name])
    await forget(connection, tenant_id)
    if await find_standing(connection, tenant_id) is Standing.SUSPENDED_BY_ALGA:
        detail = "Alga itself had suspended the tenant before, so it stays suspended: end its deletion in Alga"
        changed.warnings.append(OperationWarning(code=STILL_SUSPENDED, detail=detail))
    return changed


async def forget(connection: AsyncConnection, tenant_id: UUID) -> None:
    """Delete our records of a tenant's suspension, once it is undone or its rows are deleted."""
    await forget_rows(connection, tenant_id, _TABLES)
    await connection.execute(sa.delete(suspensions).where(suspensions.c.tenant_id == tenant_id))


async def forget_rows(connection: AsyncConnection, tenant_id: UUID, names: Sequence[str]) -> None:
    """Delete the records of rows under these names."""
    columns = suspended_rows.c
    await connection.execute(
        sa.delete(suspended_rows).where(columns.tenant_id == tenant_id, columns.table_name.in_(names))
    )


def _left_out(live: frozenset[str]) -> list[OperationWarning]:
    warnings = []
    for change in CHANGES:
        if not change.columns <= live:
            columns = " and ".join(sorted(change.columns))
            detail = f"this version of Alga has no {columns}, so {change.left_out}; upgrade Alga, and suspend it anew"
            warnings.append(OperationWarning(code=SUSPENSION_INCOMPLETE, detail=detail))
    return warnings


async def _standing(connection: AsyncConnection, tenant_id: UUID, live: frozenset[str]) -> Standing:
    query = sa.select(suspensions.c.tenant_id).where(suspensions.c.tenant_id == tenant_id)
    has_record = await connection.scalar(query) is not None
    is_suspended = has_record
    if TENANT_ROW.columns <= live:
        suspended_at = sa.select(tenants.c.suspended_at).where(tenants.c.tenant == tenant_id)
        is_suspended = await connection.scalar(suspended_at) is not None
    if has_record:
        return Standing.SUSPENDED if is_suspended else Standing.LIFTED
    return Standing.SUSPENDED_BY_ALGA if is_suspended else Standing.ACTIVE


async def apply_change(connection: AsyncConnection, tenant_id: UUID, change: Change, now: datetime) -> int:
    """Change the rows, record them for the tenant, and return their number.

    Each combination of former values has its own statement, which returns the rows that it has changed: an older
    PostgreSQL can't return the former values. On Citus, one statement can't write a table there and ours.
    """
    columns, number = change.table.c, 0
    for former in change.former:
        changing = (
            sa.update(change.table)
            .where(columns.tenant == (change.owner or tenant_id), change.holds(former), change.applies_to)
            .values(change.written)
            .returning(columns[change.id])
        )
        ids = (await connection.scalars(changing, change.parameters(now))).all()
        if ids:
            await record_rows(connection, tenant_id, change.recorded_as, former, ids)
        number += len(ids)
    return number


async def record_rows(
    connection: AsyncConnection, tenant_id: UUID, name: str, before: Mapping[str, Any], ids: Sequence[UUID]
) -> None:
    """Record for the tenant what the rows of these ids held before."""
    recorded = {"before": to_json(before), "ids": to_json(ids)}
    await connection.execute(_RECORD, {"tenant": tenant_id, "table": name, **recorded})


async def read_recorded(connection: AsyncConnection, tenant_id: UUID) -> dict[str, list[Any]]:
    """Return the ids of the changed rows and their former values, by the names of their records."""
    columns = suspended_rows.c
    query = sa.select(columns.table_name, columns.row_id, columns.before).where(columns.tenant_id == tenant_id)
    by_table: dict[str, list[Any]] = defaultdict(list)
    for row in await connection.execute(query):
        by_table[row.table_name].append(row)
    return by_table


async def put_back(connection: AsyncConnection, tenant_id: UUID, change: Change, recorded: Sequence[Any]) -> int:
    """Put former values back, one statement for many rows that have the same, and return the number of rows."""
    columns, number = change.table.c, 0
    by_former: dict[tuple[Any, ...], list[UUID]] = defaultdict(list)
    for row in recorded:
        by_former[tuple(row.before[name] for name in change.written)].append(UUID(row.row_id))
    for former, ids in by_former.items():
        for some in _batches(ids):
            restored = await connection.execute(
                sa.update(change.table)
                .where(columns.tenant == (change.owner or tenant_id), columns[change.id].in_(some), change.unchanged)
                .values(dict(zip(change.written, former, strict=True)))
            )
            number += restored.rowcount
    return number


def _batches(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(ids), MAX_IDS):
        yield ids[start : start + MAX_IDS]
