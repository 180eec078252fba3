"""An operation as a stream of server-sent events: its status document whenever that has changed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import structlog
from fastapi.sse import format_sse_event

from app.auth.callers import Caller
from app.database import DatabaseUnavailableError
from app.gateway.http.openapi import REF_TEMPLATE
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.responses import entity_tag
from app.gateway.operations.documents import OperationView
from app.gateway.operations.schemas import StatusDocument
from app.gateway.operations.statuses import Statuses
from app.temporal.errors import TemporalUnavailableError

log = structlog.get_logger(__name__)

# A creation takes a fraction of a second, waiting for an operator days: seconds between two looks, after a change
# and at most.
SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 1.0
# Proxies close connections on which nothing is sent for a minute. Seconds.
PING_INTERVAL = 15.0
# A key that was revoked, or a token that has run out, sees no more after this long. Seconds.
AUTHENTICATION_INTERVAL = 5.0
STATUS_EVENT = "status"
RECONNECT_MILLISECONDS = 1000
STATUS_EVENT_SCHEMA = {
    "type": "object",
    "properties": {
        "event": {"const": STATUS_EVENT},
        "id": {"type": "string"},
        "retry": {"type": "integer", "description": "Milliseconds to wait before connecting again."},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": REF_TEMPLATE.format(model=StatusDocument.__name__)},
        },
    },
    "required": ["event", "id", "retry", "data"],
}
PING = format_sse_event(comment="still here")

Authenticate = Callable[[], Awaitable[Caller]]
"""Gives who calls now; raises `ProblemError` where that is nobody any more."""


@dataclass(frozen=True)
class Event:
    """A status document and its id, by which a client says what it has seen."""

    id: str
    document: StatusDocument
    body: bytes

    @classmethod
    def of(cls, operation: OperationView) -> "Event":
        """The event that tells of the operation as it stands."""
        body = operation.encoded.body
        return cls(entity_tag(body), operation.document, body)

    def encoded(self) -> bytes:
        """The event as it is sent."""
        return format_sse_event(
            data_str=self.body.decode(), event=STATUS_EVENT, id=self.id, retry=RECONNECT_MILLISECONDS
        )


class OperationEvents:
    """Follows one operation for one client, as long as that may see it, until the operation or the process ends."""

    def __init__(self, statuses: Statuses, authenticate: Authenticate, workflow_id: str) -> None:
        self._statuses = statuses
        self._authenticate = authenticate
        self._workflow_id = workflow_id

    async def newest(self, caller: Caller, max_age: float = 0.0) -> Event:
        """The operation as it stands, or stood so many seconds ago; raises as `Statuses.find_for` does."""
        return Event.of(await self._statuses.find_for(caller, self._workflow_id, max_age=max_age))

    async def follow(self, caller: Caller, newest: Event, last_event_id: str | None) -> AsyncIterator[bytes]:
        """The event of `newest` unless it is the one that the client has, and then one whenever it has changed.

        While Temporal or the database is away nothing is told. Ends without a word once the client may see the
        operation no more: when it connects again it gets the reason as an answer.
        """
        sent = last_event_id
        pause, silent, unchecked = SHORTEST_PAUSE, 0.0, 0.0
        while True:
            if newest.id != sent:
                yield newest.encoded()
                sent, pause, silent = newest.id, SHORTEST_PAUSE, 0.0
            if newest.document.has_ended:
                return
            if silent >= PING_INTERVAL:
                yield PING
                silent = 0.0
            if not await self._statuses.pause(pause):
                return
            silent, unchecked, pause = silent + pause, unchecked + pause, min(pause * 2, LONGEST_PAUSE)
            try:
                if unchecked >= AUTHENTICATION_INTERVAL:
                    caller, unchecked = await self._authenticate(), 0.0
                # Those who follow the same operation look at it together.
                newest = await self.newest(caller, max_age=pause / 2)
            except ProblemError as problem:
                log.info("a stream of events has ended", workflow_id=self._workflow_id, problem=problem.code)
                return
            except (TemporalUnavailableError, DatabaseUnavailableError) as error:
                log.warning("a stream of events waits", workflow_id=self._workflow_id, reason=str(error))
