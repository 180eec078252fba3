"""The row of a deletion, which decides whether and when its purge may begin."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from sqlalchemy import and_, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.tables import tenants
from activities.database.own_tables import cancellations, deletions
from activities.operations.queries import OperationRecord
from workflows.operations.messages import UNKNOWN_CALLER, OperationContext
from workflows.tenants.deletions.messages import DeletionRequest
from workflows.tenants.deletions.state import deletion_id


@dataclass(frozen=True)
class DeletionRecord:
    """A row of `deletions`."""

    workflow_id: str
    run_id: str
    deletion_id: UUID
    tenant_id: UUID
    tenant_name: str | None
    product_code: str | None
    tenant_created_at: datetime | None
    reason: str | None
    trigger_source: str | None
    grace_period_days: int
    requested_at: datetime
    requested_by: str | None
    requested_via: str | None
    confirmed_at: datetime | None
    confirmed_by: str | None
    confirmed_via: str | None
    confirmation_type: str | None
    scheduled_for: datetime | None
    export_id: str | None
    external: Any
    undone_at: datetime | None
    deleted_at: datetime | None

    @classmethod
    def of_request(cls, operation: OperationRecord) -> Self:
        """Return the row as the operation's first step will write it; raise `ValueError` if there is no tenant."""
        context, snapshot = operation.context, operation.snapshot
        request = snapshot.parameters
        known: dict[str, Any] = {
            "workflow_id": operation.workflow_id,
            "run_id": operation.run_id,
            "deletion_id": deletion_id(context.workflow_id, context.run_id),
            "tenant_id": context.tenant_id,
            "tenant_name": snapshot.tenant_name,
            "reason": request.get("reason"),
            "trigger_source": request.get("triggerSource"),
            "grace_period_days": request.get("gracePeriodDays"),
            "requested_at": snapshot.started_at,
            "requested_by": snapshot.requested_by,
            "requested_via": snapshot.requested_via,
        }
        return cls(**{**dict.fromkeys(deletions.c.keys()), **known})

    @property
    def is_open(self) -> bool:
        """Whether the deletion has neither been undone nor completed."""
        return self.undone_at is None and self.deleted_at is None


@dataclass(frozen=True)
class Confirmation:
    """Who confirms a deletion, with which credential.

    `type` is Alga's word for the grace period, `claimed_by` the unverified name that a client of Temporal gives.
    """

    by: str
    via: str
    grace_period_days: int | None = None
    type: str | None = None
    claimed_by: str | None = None


def is_run(context: OperationContext) -> Any:
    """Return the condition for the row of an operation."""
    return and_(deletions.c.workflow_id == context.workflow_id, deletions.c.run_id == context.run_id)


async def find_deletion(connection: AsyncConnection, context: OperationContext) -> DeletionRecord | None:
    """Return the deletion of an operation, or None."""
    return await _first(connection, is_run(context))


async def newest_deletion(connection: AsyncConnection, tenant_id: UUID) -> DeletionRecord | None:
    """Return the newest deletion of a tenant, or None."""
    return await _first(connection, deletions.c.tenant_id == tenant_id)


async def insert_deletion(connection: AsyncConnection, context: OperationContext, request: DeletionRequest) -> None:
    """Record a requested deletion, with what is known of the tenant; the tenant must be locked."""
    snapshot = context.snapshot
    columns = tenants.c
    tenant = (
        await connection.execute(
            select(columns.client_name, columns.product_code, columns.created_at).where(
                columns.tenant == request.tenant_id
            )
        )
    ).one()
    await connection.execute(
        postgres_insert(deletions),
        {
            "workflow_id": context.workflow_id,
            "run_id": context.run_id,
            "deletion_id": deletion_id(context.workflow_id, context.run_id),
            "tenant_id": request.tenant_id,
            "tenant_name": tenant.client_name,
            "product_code": tenant.product_code,
            "tenant_created_at": tenant.created_at,
            "reason": request.reason,
            "trigger_source": request.trigger_source,
            "grace_period_days": request.grace_period_days,
            "requested_by": snapshot.requested_by or UNKNOWN_CALLER,
            "requested_via": snapshot.requested_via or UNKNOWN_CALLER,
        },
    )


async def confirm(
    connection: AsyncConnection, context: OperationContext, confirmation: Confirmation
) -> datetime | None:
    """Record a confirmation and return when the purge is due; None if it was confirmed before, or is undone."""
    days: Any = deletions.c.grace_period_days
    if confirmation.grace_period_days is not None:
        days = literal(confirmation.grace_period_days)
    is_undone = exists().where(
        cancellations.c.workflow_id == context.workflow_id, cancellations.c.run_id == context.run_id
    )
    is_unconfirmed = and_(
        deletions.c.confirmed_at.is_(None),
        deletions.c.undone_at.is_(None),
        deletions.c.deleted_at.is_(None),
        ~is_undone,
    )
    scheduled_for: datetime | None = await connection.scalar(
        update(deletions)
        .where(is_run(context), is_unconfirmed)
        .values(
            confirmed_at=func.now(),
            confirmed_by=confirmation.by,
            confirmed_via=confirmation.via,
            confirmation_type=confirmation.type,
            grace_period_days=days,
            scheduled_for=func.now() + days * literal(timedelta(days=1)),
        )
        .returning(deletions.c.scheduled_for)
    )
    return scheduled_for


async def note_export(connection: AsyncConnection, context: OperationContext, export_id: UUID) -> None:
    """Record the export that was made before the deletion."""
    await connection.execute(update(deletions).where(is_run(context)).values(export_id=str(export_id)))


async def end_deletion(connection: AsyncConnection, context: OperationContext, *, is_undone: bool) -> None:
    """Record that the deletion was undone, or that the tenant is deleted."""
    ended = {"undone_at": func.now()} if is_undone else {"deleted_at": func.now()}
    await connection.execute(
        update(deletions)
        .where(is_run(context), deletions.c.undone_at.is_(None), deletions.c.deleted_at.is_(None))
        .values(ended)
    )


async def _first(connection: AsyncConnection, condition: Any) -> DeletionRecord | None:
    query = select(deletions).where(condition).order_by(deletions.c.requested_at.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return DeletionRecord(**row._asdict()) if row is not None else None
