"""Tells the audit trail what the gateway has done that is no change in the database."""

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit import AuditTrail
from activities.audit_events import AuditEvent
from activities.database_errors import DATABASE_ERRORS
from app.gateway.denials import Denials

log = structlog.get_logger(__name__)


class Auditing:
    """The trail, and what is told later because the database is away or because it comes in floods.

    An operation that was cancelled or resumed in Temporal can't be undone because its event could not be written:
    the event is kept, and written as soon as the database answers.
    """

    def __init__(self, engine: AsyncEngine, trail: AuditTrail, later: Denials) -> None:
        self.trail = trail
        self.later = later
        self._engine = engine

    async def tell(self, event: AuditEvent) -> None:
        """Write one event in a transaction of its own."""
        try:
            async with self._engine.begin() as connection:
                await self.trail.append(connection, event)
        except DATABASE_ERRORS as error:
            log.warning("an audit event waits for the database", action=event.action, error=type(error).__name__)
            self.later.note(event)
