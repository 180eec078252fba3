"""Records audit events for actions that have no database transaction of their own."""

import math
import time

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.events import AuditEvent
from activities.audit.trail import AuditTrail
from activities.database.errors import DATABASE_ERRORS
from app.audit.buffer import AuditEventBuffer
from app.bounded_dict import BoundedDict
from app.crypto.derived_keys import derive_key
from app.settings import Settings

THROTTLE_SECONDS = 60.0
MAX_THROTTLED = 1000

log = structlog.get_logger(__name__)


class AuditRecorder:
    """Writes events to the trail now, or to the buffer if the database is unavailable or they are too many.

    A cancel or resume in Temporal can't be undone if its event can't be written, so the event waits in the buffer.
    """

    def __init__(self, engine: AsyncEngine, trail: AuditTrail, buffer: AuditEventBuffer) -> None:
        self.trail = trail
        self.buffer = buffer
        self._engine = engine
        self._recorded_at: BoundedDict[tuple[str | None, ...], float] = BoundedDict(MAX_THROTTLED)

    async def record_throttled(self, event: AuditEvent) -> None:
        """Write the caller's first event of this action now. For a minute, buffer those that follow."""
        kind = (event.action, event.caller, event.on_behalf_of, event.address)
        now = time.monotonic()
        if now - self._recorded_at.get(kind, -math.inf) < THROTTLE_SECONDS:
            self.buffer.add(event)
        else:
            self._recorded_at[kind] = now
            await self.record(event)

    async def record(self, event: AuditEvent) -> None:
        """Write an event now, in its own transaction."""
        try:
            async with self._engine.begin() as connection:
                await self.trail.append(connection, event)
        except DATABASE_ERRORS as error:
            log.warning("an audit event waits for the database", action=event.action, error=type(error).__name__)
            self.buffer.add(event)


PURPOSE = "audit trail"


def audit_trail(settings: Settings) -> AuditTrail:
    """Return the trail with the key of `AUDIT_SECRET`, or of `NEXTAUTH_SECRET` if that is not set."""
    secret = settings.audit_secret or settings.nextauth_secret
    return AuditTrail(derive_key(secret.get_secret_value(), PURPOSE))
