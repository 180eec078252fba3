"""Pages of audit events, newest first."""

from dataclasses import dataclass
from operator import eq, ge, lt
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.operators import in_op

from activities.audit.events import Action, Outcome
from activities.database.own_tables import audit_events
from app.auth.callers import Caller
from app.database import database_errors
from app.gateway.audit.documents import AuditEventDocument, AuditEventList
from app.gateway.audit.problems import AuditEventNotFoundError
from app.gateway.http.parameters import Moment
from workflows.operations.texts import MAX_SENTENCE_LENGTH

# The sequence of the last event on a page. All texts of this form are smaller than the largest bigint.
EVENT_PAGE_TOKEN = r"^[0-9]{18}$"  # noqa: S105 - a pattern
ANY_TEXT = r"^[^\x00]*$"


def _text(description: str, alias: str | None = None) -> Any:
    return Query(alias=alias, pattern=ANY_TEXT, max_length=MAX_SENTENCE_LENGTH, description=description)


@dataclass(frozen=True)
class EventFilter:
    """Which events a listing shows, as query parameters."""

    actions: Annotated[tuple[Action, ...], Query(alias="action", description="Any of these.")] = ()
    outcomes: Annotated[tuple[Outcome, ...], Query(alias="outcome", description="Any of these.")] = ()
    caller: Annotated[str | None, _text("The authenticated identity.")] = None
    workflow_id: Annotated[str | None, _text("About this operation.", "workflowId")] = None
    tenant_id: Annotated[UUID | None, Query(alias="tenantId", description="About this tenant.")] = None
    occurred_after: Annotated[Moment | None, Query(alias="occurredAfter", description="From this time on.")] = None
    occurred_before: Annotated[Moment | None, Query(alias="occurredBefore", description="Before this time.")] = None


class AuditListing:
    """Reads the `audit_events` table. A caller that is bound to a tenant sees only that tenant's events."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find(self, caller: Caller, sequence: int) -> AuditEventDocument:
        """Return an event; raise `AuditEventNotFoundError` or `DatabaseUnavailableError`."""
        query = select(audit_events).where(audit_events.c.sequence == sequence)
        with database_errors():
            async with self._engine.connect() as connection:
                row = (await connection.execute(query)).one_or_none()
        if row is None or not caller.may_see(row.tenant_id):
            raise AuditEventNotFoundError
        return AuditEventDocument(**row._asdict())

    async def page(self, caller: Caller, wanted: EventFilter, *, size: int, token: str | None) -> AuditEventList:
        """Return the page for the token, or the first one; raise `DatabaseUnavailableError`."""
        columns = audit_events.c
        conditions = [
            compare(column, value)
            for column, compare, value in (
                (columns.action, in_op, wanted.actions or None),
                (columns.outcome, in_op, wanted.outcomes or None),
                (columns.caller, eq, wanted.caller),
                (columns.workflow_id, eq, wanted.workflow_id),
                (columns.tenant_id, eq, wanted.tenant_id),
                (columns.tenant_id, eq, caller.tenant_id),
                (columns.occurred_at, ge, wanted.occurred_after),
                (columns.occurred_at, lt, wanted.occurred_before),
                (columns.sequence, lt, int(token) if token is not None else None),
            )
            if value is not None
        ]
        query = select(audit_events).where(*conditions).order_by(columns.sequence.desc()).limit(size + 1)
        with database_errors():
            async with self._engine.connect() as connection:
                rows = (await connection.execute(query)).all()
        events = tuple(AuditEventDocument(**row._asdict()) for row in rows[:size])
        return AuditEventList(
            events=events, next_page_token=f"{events[-1].sequence:018d}" if len(rows) > size else None
        )
