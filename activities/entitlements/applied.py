"""Remembers which changes were applied, by the sender's ids, so that a repeated one changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database.own_tables import applied_changes
from activities.errors import FinalError
from workflows.operations.messages import OperationContext
from workflows.tenants.entitlements import EntitlementRequest

EVENT_ID_USED = "event-id-used"


@dataclass(frozen=True)
class Applied:
    """A change that was applied, and the operation that did."""

    kind: str
    content: Mapping[str, Any]
    workflow_id: str


async def is_applied(connection: AsyncConnection, kind: str, tenant_id: UUID, request: EntitlementRequest) -> bool:
    """Return whether the change was applied; raises `FinalError` if its event id belongs to another change."""
    if request.event_id is None:
        return False
    columns = applied_changes.c
    query = select(columns.kind, columns.content, columns.workflow_id).where(
        columns.tenant_id == tenant_id, columns.event_id == request.event_id
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return False
    applied = Applied(*row)
    if (applied.kind, applied.content) != (kind, request.content):
        detail = f"this id was used for another change of the tenant, by {applied.workflow_id}; send a new one"
        raise FinalError(EVENT_ID_USED, detail, field="eventId")
    return True


async def note_applied(connection: AsyncConnection, context: OperationContext, request: EntitlementRequest) -> None:
    """Remember the change by its event id, if it has one; the tenant must be locked."""
    if request.event_id is None:
        return
    await connection.execute(
        insert(applied_changes),
        {
            "tenant_id": context.tenant_id,
            "event_id": request.event_id,
            "kind": context.snapshot.kind,
            "content": request.content,
            "workflow_id": context.workflow_id,
            "run_id": context.run_id,
        },
    )
