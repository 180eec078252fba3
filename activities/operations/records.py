"""Reads the `operations` table: one operation, a page of them, and those that have not ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Select, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database.own_tables import operations
from workflows.operations.kinds import KINDS
from workflows.operations.messages import OperationSnapshot, OperationStatus


@dataclass(frozen=True)
class OperationRecord:
    """A row of `operations`."""

    workflow_id: str
    run_id: str
    snapshot: OperationSnapshot

    @property
    def is_row(self) -> tuple[ColumnElement[bool], ...]:
        """What a statement selects the row by."""
        return (operations.c.workflow_id == self.workflow_id, operations.c.run_id == self.run_id)


@dataclass(frozen=True)
class UnreadableRecord:
    """A row of `operations` that this release does not understand."""

    workflow_id: str
    run_id: str


@dataclass(frozen=True)
class OperationFilter:
    """Which operations a listing shows; times are of the start, `started_before` exclusive."""

    tenant_id: UUID | None = None
    kind: str | None = None
    statuses: tuple[OperationStatus, ...] = ()
    name: str | None = None
    started_after: datetime | None = None
    started_before: datetime | None = None


@dataclass(frozen=True)
class UnfinishedCount:
    """How many operations of a kind stand at a status, and for how many seconds the longest has."""

    kind: str
    status: str
    number: int
    oldest_seconds: float


async def count_unfinished(connection: AsyncConnection) -> list[UnfinishedCount]:
    """The operations that have not ended, by kind and status."""
    columns = operations.c
    age = func.extract("epoch", func.now() - func.min(columns.updated_at))
    rows = await connection.execute(
        select(columns.kind, columns.status, func.count(), age)
        .where(columns.finished_at.is_(None))
        .group_by(columns.kind, columns.status)
    )
    return [UnfinishedCount(kind, status, number, float(seconds)) for kind, status, number, seconds in rows]


async def find_operation(connection: AsyncConnection, workflow_id: str) -> OperationRecord | None:
    """Return the newest run of a workflow, as the last committed step left it.

    For an id that our gateway chose, return the committed run if there is one: the gateway never reuses such an id.
    """
    order = [operations.c.started_at.desc()]
    if KINDS.is_own_id(workflow_id):
        order.insert(0, operations.c.committed_at.is_(None).asc())
    row = (
        await connection.execute(
            select(operations).where(operations.c.workflow_id == workflow_id).order_by(*order).limit(1)
        )
    ).one_or_none()
    return _record(row) if row is not None else None


async def find_run(connection: AsyncConnection, workflow_id: str, run_id: str) -> OperationRecord | None:
    """Return one run of a workflow, or None if it has no row."""
    row = (
        await connection.execute(
            select(operations).where(operations.c.workflow_id == workflow_id, operations.c.run_id == run_id)
        )
    ).one_or_none()
    return _record(row) if row is not None else None


async def find_newest_of_tenant(connection: AsyncConnection, tenant_id: UUID, kind: str) -> OperationRecord | None:
    """Return the operation of that kind that was committed for the tenant, else the open one, else the newest."""
    row = (
        await connection.execute(
            select(operations)
            .where(operations.c.tenant_id == tenant_id, operations.c.kind == kind)
            .order_by(
                operations.c.committed_at.is_(None),
                operations.c.finished_at.is_not(None),
                operations.c.started_at.desc(),
            )
            .limit(1)
        )
    ).one_or_none()
    return _record(row) if row is not None else None


async def list_operations(
    connection: AsyncConnection,
    wanted: OperationFilter,
    *,
    limit: int,
    after: tuple[datetime, str, str] | None = None,
) -> list[OperationRecord]:
    """Operations, newest first, following the given (started_at, workflow_id, run_id) where there is one."""
    key = tuple_(operations.c.started_at, operations.c.workflow_id, operations.c.run_id)
    query = _filtered(select(operations), wanted)
    if after is not None:
        query = query.where(key < tuple_(*after))
    query = query.order_by(
        operations.c.started_at.desc(), operations.c.workflow_id.desc(), operations.c.run_id.desc()
    ).limit(limit)
    return [_record(row) for row in await connection.execute(query)]


async def unrecorded(connection: AsyncConnection, runs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of the workflow ids and run ids that have no row."""
    known = await connection.execute(
        select(operations.c.workflow_id, operations.c.run_id).where(
            operations.c.workflow_id.in_([workflow_id for workflow_id, _ in runs])
        )
    )
    recorded = {tuple(row) for row in known}
    return [run for run in runs if run not in recorded]


async def finished_among(connection: AsyncConnection, runs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of the workflow ids and run ids whose row says how they ended."""
    rows = await connection.execute(
        select(operations.c.workflow_id, operations.c.run_id).where(
            operations.c.workflow_id.in_([workflow_id for workflow_id, _ in runs]),
            operations.c.finished_at.is_not(None),
        )
    )
    finished = {tuple(row) for row in rows}
    return [run for run in runs if run in finished]


async def unfinished_operations(
    connection: AsyncConnection,
    namespace: str,
    *,
    untouched_for: timedelta,
    limit: int,
    after: tuple[str, str] | None = None,
) -> list[OperationRecord | UnreadableRecord]:
    """Operations of a Temporal namespace that have not ended, by workflow id and run id, following the given ones.

    Those that a step has written within `untouched_for` are left out: they are at work.
    """
    columns = operations.c
    key = tuple_(columns.workflow_id, columns.run_id)
    query = select(operations).where(
        columns.finished_at.is_(None),
        or_(columns.namespace == namespace, columns.namespace.is_(None)),
        columns.updated_at <= func.now() - untouched_for,
    )
    if after is not None:
        query = query.where(key > tuple_(*after))
    rows = await connection.execute(query.order_by(columns.workflow_id, columns.run_id).limit(limit))
    return [_record_if_readable(row) for row in rows]


def _filtered(query: Select[Any], wanted: OperationFilter) -> Select[Any]:
    columns = operations.c
    if wanted.tenant_id is not None:
        query = query.where(columns.tenant_id == wanted.tenant_id)
    if wanted.kind is not None:
        query = query.where(columns.kind == wanted.kind)
    if wanted.statuses:
        query = query.where(columns.status.in_(wanted.statuses))
    if wanted.name is not None:
        query = query.where(columns.tenant_name.icontains(wanted.name, autoescape=True))
    if wanted.started_after is not None:
        query = query.where(columns.started_at >= wanted.started_after)
    if wanted.started_before is not None:
        query = query.where(columns.started_at < wanted.started_before)
    return query


def _record_if_readable(row: Any) -> OperationRecord | UnreadableRecord:
    try:
        return _record(row)
    except ValidationError:
        return UnreadableRecord(row.workflow_id, row.run_id)


def _record(row: Any) -> OperationRecord:
    fields = row._asdict()
    return OperationRecord(
        workflow_id=row.workflow_id,
        run_id=row.run_id,
        snapshot=OperationSnapshot.model_validate(
            {name: fields[name] for name in OperationSnapshot.model_fields if name in fields}
        ),
    )
