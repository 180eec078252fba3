"""Reads deletions from our own tables, which on Citus are local: they are never joined with Alga's."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, false, func, not_, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.across_tenants import Place, TenantFilter, parse_tenant_id
from activities.database.id_lists import id_parameters, id_values
from activities.database.own_tables import deletions, operations
from activities.deletions.rows import DeletionRecord
from workflows.operations.statuses import OperationStatus
from workflows.tenants.deletions.state import (
    AWAITING_CONFIRMATION,
    CONFIRMED,
    DELETED,
    DELETING,
    OpenDeletion,
    deletion_id,
)
from workflows.tenants.steps import DELETION

FAILING_STATUSES = (OperationStatus.RETRYING, OperationStatus.NEEDS_ATTENTION)
OVERDUE_AFTER = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_CREATED_AT = func.coalesce(deletions.c.tenant_created_at, EPOCH)
_IS_OPEN = and_(
    deletions.c.undone_at.is_(None),
    deletions.c.deleted_at.is_(None),
    # An operation without a row is not open.
    operations.c.workflow_id.is_not(None),
    operations.c.finished_at.is_(None),
)
# While a purge runs, its transaction alone could show its step.
_IS_DELETING = func.coalesce(deletions.c.scheduled_for <= func.now(), false())
_IS_OPERATION = and_(operations.c.workflow_id == deletions.c.workflow_id, operations.c.run_id == deletions.c.run_id)


class DeletionStage(StrEnum):
    """How far a deletion is, as states of its tenant."""

    SCHEDULED = "deletion_scheduled"
    DELETING = "deleting"
    DELETED = "deleted"


@dataclass(frozen=True)
class KnownDeletion:
    """A deletion that is open or done."""

    stage: DeletionStage
    record: DeletionRecord

    @property
    def place(self) -> Place:
        """The place in the list of its stage: by the time of the deletion, or that of the tenant's creation."""
        return Place(self.record.deleted_at or self.record.tenant_created_at or EPOCH, self.record.tenant_id)


async def count_open_deletions(connection: AsyncConnection) -> dict[str, int]:
    """Count the deletions that have not ended: all by what they wait for, and those in which something is wrong.

    Overdue ones should have ended an hour ago; failing ones retry or wait for an operator after their grace period.
    """
    scheduled_for, is_failing = deletions.c.scheduled_for, operations.c.status.in_(FAILING_STATUSES)
    conditions = {
        "awaiting_confirmation": deletions.c.confirmed_at.is_(None),
        "scheduled": scheduled_for > func.now(),
        "overdue": scheduled_for < func.now() - OVERDUE_AFTER,
        "failing": and_(_IS_DELETING, is_failing),
    }
    counts = (func.count().filter(condition).label(state) for state, condition in conditions.items())
    query = select(*counts).join_from(deletions, operations, _IS_OPERATION).where(_IS_OPEN)
    return dict((await connection.execute(query)).one()._asdict())


async def find_open_deletions(connection: AsyncConnection, tenant_ids: Collection[UUID]) -> dict[UUID, DeletionStage]:
    """Return the stages of the deletions of those tenants that are being deleted."""
    if not tenant_ids:
        return {}
    rows = await connection.execute(_open_query(len(tenant_ids)), id_values(tenant_ids))
    return {tenant_id: _open_stage(is_deleting) for tenant_id, is_deleting in rows}


@lru_cache(maxsize=256)
def _open_query(number: int) -> Select[Any]:
    return (
        select(deletions.c.tenant_id, _IS_DELETING)
        .join_from(deletions, operations, _IS_OPERATION)
        .where(deletions.c.tenant_id.in_(id_parameters(number)), _IS_OPEN)
    )


async def find_known_deletion(connection: AsyncConnection, tenant_id: UUID) -> KnownDeletion | None:
    """Return the open deletion of a tenant, else the newest that is done, or None."""
    query = _records().where(deletions.c.tenant_id == tenant_id, or_(_IS_OPEN, deletions.c.deleted_at.is_not(None)))
    order = (deletions.c.deleted_at.is_not(None), deletions.c.deleted_at.desc())
    row = (await connection.execute(query.order_by(*order).limit(1))).one_or_none()
    return _known(row) if row is not None else None


async def find_open_operation(connection: AsyncConnection, tenant_id: UUID) -> OpenDeletion | None:
    """Return the deletion of the tenant that has not ended, also one that has recorded nothing yet, or None."""
    columns = operations.c
    query = (
        select(columns.workflow_id, columns.run_id, columns.committed_at, deletions.c.confirmed_at, _IS_DELETING)
        .outerjoin_from(operations, deletions, _IS_OPERATION)
        .where(columns.tenant_id == tenant_id, columns.kind == DELETION.name, columns.finished_at.is_(None))
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    workflow_id, run_id, committed_at, confirmed_at, is_deleting = row
    status = AWAITING_CONFIRMATION if confirmed_at is None else CONFIRMED
    if is_deleting:
        status = DELETING if committed_at is None else DELETED
    return OpenDeletion(workflow_id=workflow_id, deletion_id=deletion_id(workflow_id, run_id), status=status)


async def list_open_deletions(
    connection: AsyncConnection, stage: DeletionStage, *, limit: int, after: Place | None, tenant_id: UUID | None
) -> list[KnownDeletion]:
    """Return open deletions, those of the newest tenants first, that follow the given place."""
    is_in_stage = _IS_DELETING if stage is DeletionStage.DELETING else not_(_IS_DELETING)
    query = _records().where(_IS_OPEN, is_in_stage)
    return await _list(connection, query, _CREATED_AT, limit=limit, after=after, tenant_id=tenant_id)


async def list_deleted(
    connection: AsyncConnection, wanted: TenantFilter, *, limit: int, after: Place | None
) -> list[KnownDeletion]:
    """Return the last deletion of each tenant, the newest first; a search finds names and ids."""
    later = deletions.alias("later")
    is_repeated = (
        select(later.c.tenant_id)
        .where(later.c.tenant_id == deletions.c.tenant_id, later.c.deleted_at > deletions.c.deleted_at)
        .exists()
    )
    query = _records().where(deletions.c.deleted_at.is_not(None), not_(is_repeated))
    if wanted.search is not None:
        query = query.where(
            deletions.c.tenant_id == tenant_id
            if (tenant_id := parse_tenant_id(wanted.search))
            else deletions.c.tenant_name.icontains(wanted.search, autoescape=True)
        )
    if wanted.product_code is not None:
        query = query.where(deletions.c.product_code == wanted.product_code)
    return await _list(
        connection, query, deletions.c.deleted_at, limit=limit, after=after, tenant_id=wanted.tenant_id
    )


def _records() -> Select[Any]:
    return select(deletions, _IS_DELETING.label("is_deleting")).outerjoin_from(deletions, operations, _IS_OPERATION)


async def _list(
    connection: AsyncConnection,
    query: Select[Any],
    time: Any,
    *,
    limit: int,
    after: Place | None,
    tenant_id: UUID | None,
) -> list[KnownDeletion]:
    if tenant_id is not None:
        query = query.where(deletions.c.tenant_id == tenant_id)
    if after is not None:
        query = query.where(tuple_(time, deletions.c.tenant_id) < tuple_(*after))
    rows = await connection.execute(query.order_by(time.desc(), deletions.c.tenant_id.desc()).limit(limit))
    return [_known(row) for row in rows]


def _known(row: Any) -> KnownDeletion:
    columns = row._asdict()
    stage = _open_stage(columns.pop("is_deleting"))
    record = DeletionRecord(**columns)
    return KnownDeletion(stage if record.deleted_at is None else DeletionStage.DELETED, record)


def _open_stage(is_deleting: bool) -> DeletionStage:
    return DeletionStage.DELETING if is_deleting else DeletionStage.SCHEDULED
