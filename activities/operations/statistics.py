"""Counts operations, and measures how long they take."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database.own_tables import operations
from workflows.operations.statuses import OperationStatus

MEDIAN, HIGH = 0.5, 0.95


@dataclass(frozen=True)
class HourCount:
    """The number of operations of a status that started in an hour."""

    hour: datetime
    status: OperationStatus
    number: int


@dataclass(frozen=True)
class Durations:
    """How long the completed operations of a kind took, in seconds: half of them, and 95 % of them, at most that."""

    kind: str
    number: int
    median: float
    high: float


async def count_by_hour(connection: AsyncConnection, since: datetime, tenant_id: UUID | None) -> list[HourCount]:
    """Count the operations of a tenant, or of all, that started at this time or later, by hour and status."""
    hour = func.date_trunc("hour", operations.c.started_at, "UTC").label("hour")
    status = operations.c.status
    query = select(hour, status, func.count()).where(*_started(since, tenant_id)).group_by(hour, status)
    rows = await connection.execute(query)
    return [HourCount(hour, OperationStatus(status), number) for hour, status, number in rows]


async def count_by_status(
    connection: AsyncConnection, since: datetime, tenant_id: UUID | None
) -> dict[OperationStatus, int]:
    """Count the operations of a tenant, or of all, that started at this time or later, by status."""
    status = operations.c.status
    query = select(status, func.count()).where(*_started(since, tenant_id)).group_by(status)
    return {OperationStatus(status): number for status, number in await connection.execute(query)}


async def measure_durations(
    connection: AsyncConnection, since: datetime, tenant_id: UUID | None, kinds: Collection[str]
) -> list[Durations]:
    """Measure the completed operations of these kinds that started at this time or later, the most frequent first."""
    columns = operations.c
    seconds = func.extract("epoch", columns.finished_at - columns.started_at)
    parts = (func.percentile_cont(part).within_group(seconds) for part in (MEDIAN, HIGH))
    query = (
        select(columns.kind, func.count(), *parts)
        .where(
            *_started(since, tenant_id),
            columns.status == OperationStatus.COMPLETED,
            columns.finished_at.is_not(None),
            columns.kind.in_(kinds),
        )
        .group_by(columns.kind)
        .order_by(func.count().desc(), columns.kind)
    )
    return [Durations(kind, number, median, high) for kind, number, median, high in await connection.execute(query)]


def _started(since: datetime, tenant_id: UUID | None) -> list[ColumnElement[bool]]:
    is_recent = operations.c.started_at >= since
    return [is_recent] if tenant_id is None else [is_recent, operations.c.tenant_id == tenant_id]
