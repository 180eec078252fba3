"""Reads pages of audit events, newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.audit.events import Action, Outcome
from activities.database.own_tables import audit_events


@dataclass(frozen=True)
class AuditRecord:
    """A row of `audit_events`, as it is: its hash may hold or not."""

    sequence: int
    id: UUID
    occurred_at: datetime
    action: str
    outcome: str
    caller: str
    on_behalf_of: str | None
    workflow_id: str | None
    tenant_id: UUID | None
    subject: str | None
    reason: str | None
    request_id: str | None
    address: str | None
    method: str | None
    path: str | None
    count: int
    details: dict[str, Any]
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True)
class EventFilter:
    """Which events a listing shows; `occurred_before` is exclusive."""

    actions: tuple[Action, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    caller: str | None = None
    workflow_id: str | None = None
    tenant_id: UUID | None = None
    occurred_after: datetime | None = None
    occurred_before: datetime | None = None


async def list_events(
    connection: AsyncConnection, wanted: EventFilter, *, limit: int, before: int | None = None
) -> list[AuditRecord]:
    """Events, newest first, preceding that of the given sequence where there is one."""
    columns = audit_events.c
    conditions = [
        column == value
        for column, value in (
            (columns.caller, wanted.caller),
            (columns.workflow_id, wanted.workflow_id),
            (columns.tenant_id, wanted.tenant_id),
        )
        if value is not None
    ]
    if wanted.actions:
        conditions.append(columns.action.in_(wanted.actions))
    if wanted.outcomes:
        conditions.append(columns.outcome.in_(wanted.outcomes))
    if wanted.occurred_after is not None:
        conditions.append(columns.occurred_at >= wanted.occurred_after)
    if wanted.occurred_before is not None:
        conditions.append(columns.occurred_at < wanted.occurred_before)
    if before is not None:
        conditions.append(columns.sequence < before)
    rows = await connection.execute(
        select(audit_events).where(*conditions).order_by(columns.sequence.desc()).limit(limit)
    )
    return [AuditRecord(**row._asdict()) for row in rows]
