"""Pages of audit events, newest first."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.records import EventFilter, list_events
from app.auth.callers import Caller
from app.database import database_errors
from app.gateway.audit.documents import AuditEventList, event_document

# The sequence of the last event on a page. All texts of this form are smaller than the largest bigint.
EVENT_PAGE_TOKEN = r"^[0-9]{18}$"  # noqa: S105 - a pattern


class AuditListing:
    """Reads pages of the `audit_events` table."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(self, caller: Caller, wanted: EventFilter, *, size: int, token: str | None) -> AuditEventList:
        """The page that the token leads to, or the first one; raises `DatabaseUnavailableError`.

        A caller that is bound to a tenant sees that one's events alone.
        """
        if caller.tenant_id is not None and wanted.tenant_id not in {None, caller.tenant_id}:
            return AuditEventList(events=(), next_page_token=None)
        wanted = replace(wanted, tenant_id=caller.tenant_id or wanted.tenant_id)
        before = int(token) if token is not None else None
        with database_errors():
            async with self._engine.connect() as connection:
                records = await list_events(connection, wanted, limit=size + 1, before=before)
        shown = records[:size]
        return AuditEventList(
            events=tuple(event_document(record) for record in shown),
            next_page_token=f"{shown[-1].sequence:018d}" if len(records) > size else None,
        )
