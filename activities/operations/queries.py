"""Reads operations from the `operations` table."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import Select, and_, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database.own_tables import READING_KIND, audit_events, operations
from workflows.operations.kinds import KINDS, OperationKind
from workflows.operations.messages import OperationContext, OperationSnapshot
from workflows.operations.statuses import OperationStatus


@dataclass(frozen=True)
class OperationRecord:
    """A row of `operations`."""

    workflow_id: str
    run_id: str
    snapshot: OperationSnapshot

    @property
    def context(self) -> OperationContext:
        """The operation as activities know it."""
        return OperationContext(workflow_id=self.workflow_id, run_id=self.run_id, snapshot=self.snapshot)


@dataclass(frozen=True)
class UnreadableRecord:
    """A row of `operations` that this release does not understand."""

    workflow_id: str
    run_id: str


@dataclass(frozen=True)
class OperationFilter:
    """The filter of a listing; `started_before` is exclusive."""

    tenant_id: UUID | None = None
    kind: str | None = None
    statuses: tuple[OperationStatus, ...] = ()
    name: str | None = None
    started_after: datetime | None = None
    started_before: datetime | None = None


@dataclass(frozen=True)
class UnfinishedCount:
    """The number of operations of a kind and status, and the age of the oldest status."""

    kind: str
    status: str
    number: int
    oldest_seconds: float


async def count_unfinished(connection: AsyncConnection) -> list[UnfinishedCount]:
    """Count the operations that have not ended, by kind and status."""
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
    return await _first(
        connection, select(operations).where(operations.c.workflow_id == workflow_id).order_by(*order)
    )


async def find_run(connection: AsyncConnection, workflow_id: str, run_id: str) -> OperationRecord | None:
    """Return one run of a workflow, or None if it has no row."""
    is_run = (operations.c.workflow_id == workflow_id, operations.c.run_id == run_id)
    return await _first(connection, select(operations).where(*is_run))


async def read_statuses(
    connection: AsyncConnection, runs: Collection[tuple[str, str]]
) -> dict[tuple[str, str], OperationStatus]:
    """Return the statuses of those of the runs, by workflow id and run id, that have a row."""
    columns = operations.c
    query = select(columns.workflow_id, columns.run_id, columns.status).where(
        tuple_(columns.workflow_id, columns.run_id).in_(runs)
    )
    rows = await connection.execute(query) if runs else ()
    return {(workflow_id, run_id): OperationStatus(status) for workflow_id, run_id, status in rows}


async def find_newest_of_tenant(connection: AsyncConnection, tenant_id: UUID, kind: str) -> OperationRecord | None:
    """Return the operation of that kind that was committed for the tenant, else the open one, else the newest."""
    columns = operations.c
    order = (columns.committed_at.is_(None), columns.finished_at.is_not(None), columns.started_at.desc())
    query = select(operations).where(columns.tenant_id == tenant_id, columns.kind == kind)
    return await _first(connection, query.order_by(*order))


async def find_open_of_tenant(connection: AsyncConnection, tenant_id: UUID, kind: str) -> OperationRecord | None:
    """Return the open operation that keeps one of that kind on the tenant from starting, or None."""
    columns = operations.c
    # Those that only read keep back each other, and nothing else.
    is_rival = columns.kind == READING_KIND if kind == READING_KIND else columns.kind != READING_KIND
    is_open = and_(columns.finished_at.is_(None), is_rival)
    return await _first(connection, select(operations).where(columns.tenant_id == tenant_id, is_open))


async def newest_request(connection: AsyncConnection, tenant_id: UUID, kind: OperationKind) -> int:
    """Return the number of the audit event of the tenant's newest request of that kind, or 0.

    Unlike the rows of operations, audit events are never deleted.
    """
    columns = audit_events.c
    is_request = and_(columns.tenant_id == tenant_id, columns.action == kind.request_action)
    number: int | None = await connection.scalar(select(func.max(columns.sequence)).where(is_request))
    return number or 0


async def list_operations(
    connection: AsyncConnection,
    wanted: OperationFilter,
    *,
    limit: int,
    after: tuple[datetime, str, str] | None = None,
) -> list[OperationRecord]:
    """Return operations, newest first, that follow the given (started_at, workflow_id, run_id)."""
    key_columns = (operations.c.started_at, operations.c.workflow_id, operations.c.run_id)
    query = _filtered(select(operations), wanted)
    if after is not None:
        query = query.where(tuple_(*key_columns) < tuple_(*after))
    order = [column.desc() for column in key_columns]
    return [_record(row) for row in await connection.execute(query.order_by(*order).limit(limit))]


async def count_operations(connection: AsyncConnection, wanted: OperationFilter) -> dict[str, int]:
    """Count operations by status."""
    status = operations.c.status
    query = _filtered(select(status, func.count()), wanted).group_by(status)
    return dict((await connection.execute(query)).all())


async def find_runs(connection: AsyncConnection, workflow_ids: Sequence[str]) -> dict[tuple[str, str], bool]:
    """Return the workflow ids and run ids of all rows of these workflows, and whether each operation has ended."""
    columns = operations.c
    rows = await connection.execute(
        select(columns.workflow_id, columns.run_id, columns.finished_at.is_not(None)).where(
            columns.workflow_id.in_(workflow_ids)
        )
    )
    return {(workflow_id, run_id): has_ended for workflow_id, run_id, has_ended in rows}


async def unfinished_operations(
    connection: AsyncConnection,
    namespace: str,
    *,
    untouched_for: timedelta,
    limit: int,
    after: tuple[str, str] | None = None,
) -> list[OperationRecord | UnreadableRecord]:
    """Return the operations of a Temporal namespace that have not ended and follow the given workflow id and run id.

    Those that were written within `untouched_for` are left out, because a transaction is at work.
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


async def _first(connection: AsyncConnection, query: Select[Any]) -> OperationRecord | None:
    row = (await connection.execute(query.limit(1))).one_or_none()
    return _record(row) if row is not None else None


def _record_if_readable(row: Any) -> OperationRecord | UnreadableRecord:
    try:
        return _record(row)
    except ValidationError:
        return UnreadableRecord(row.workflow_id, row.run_id)


def _record(row: Any) -> OperationRecord:
    snapshot = OperationSnapshot.model_validate(row._asdict())
    return OperationRecord(row.workflow_id, row.run_id, snapshot)
