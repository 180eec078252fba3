"""Tells the audit trail what the gateway has done that is no change in the database."""

import math
import time
from collections import OrderedDict

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.events import AuditEvent
from activities.audit.trail import AuditTrail
from activities.database.errors import DATABASE_ERRORS
from app.audit.queue import Denials

TOLD_SECONDS = 60.0
MOST_KINDS = 1000

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
        self._told_at: OrderedDict[tuple[str | None, ...], float] = OrderedDict()

    async def tell_first(self, event: AuditEvent) -> None:
        """Write the first event of its kind by this caller now, and within a minute the others as one each second."""
        kind = (event.action, event.caller, event.on_behalf_of, event.address)
        now = time.monotonic()
        if now - self._told_at.get(kind, -math.inf) < TOLD_SECONDS:
            self.later.note(event)
            return
        self._told_at[kind] = now
        self._told_at.move_to_end(kind)
        if len(self._told_at) > MOST_KINDS:
            self._told_at.popitem(last=False)
        await self.tell(event)

    async def tell(self, event: AuditEvent) -> None:
        """Write one event in a transaction of its own, now."""
        try:
            async with self._engine.begin() as connection:
                await self.trail.append(connection, event)
        except DATABASE_ERRORS as error:
            log.warning("an audit event waits for the database", action=event.action, error=type(error).__name__)
            self.later.note(event)
