"""An operation as a stream of server-sent events: its status document, now and after each change."""

from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from fastapi.sse import format_sse_event

from app.auth.callers import Caller
from app.database import DatabaseUnavailableError
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.streaming.streams import AUTHENTICATION_INTERVAL
from app.gateway.operations.documents import OperationView
from app.gateway.operations.lookup import OperationLookup
from app.temporal.errors import TemporalUnavailableError

log = structlog.get_logger(__name__)

# All in seconds. The poll interval doubles while nothing changes: a creation takes a fraction of a second, but an
# operation may wait for an operator for days.
MIN_POLL_INTERVAL = 0.1
MAX_POLL_INTERVAL = 1.0
# Proxies close connections that are silent for a minute.
PING_INTERVAL = 15.0
# Proxies like nginx would buffer the events.
UNBUFFERED = {"X-Accel-Buffering": "no"}
STATUS_EVENT = "status"
RECONNECT_MILLISECONDS = 1000
PING = format_sse_event(comment="ping")


async def follow(
    lookup: OperationLookup,
    operation: OperationView,
    last_event_id: str | None,
    caller: Caller,
    authenticate: Callable[[], Awaitable[Caller]],
) -> AsyncIterator[bytes]:
    """Yield an event for the operation, unless the client has it already, and one after each change.

    Sends nothing while Temporal and the database are unavailable. Ends when the operation or the process ends, and
    silently when `authenticate` fails or the caller may no longer see the operation: the client gets the problem when
    it connects again.
    """
    workflow_id, sent = operation.workflow_id, last_event_id
    pause, since_sent, since_authenticated = MIN_POLL_INTERVAL, 0.0, 0.0
    while True:
        if operation.encoded.tag != sent:
            sent, data = operation.encoded.tag, operation.encoded.body.decode()
            yield format_sse_event(data_str=data, event=STATUS_EVENT, id=sent, retry=RECONNECT_MILLISECONDS)
            pause, since_sent = MIN_POLL_INTERVAL, 0.0
        if operation.document.has_ended:
            return
        if since_sent >= PING_INTERVAL:
            yield PING
            since_sent = 0.0
        if not await lookup.pause(pause):
            return
        since_sent, since_authenticated = since_sent + pause, since_authenticated + pause
        pause = min(pause * 2, MAX_POLL_INTERVAL)
        try:
            if since_authenticated >= AUTHENTICATION_INTERVAL:
                caller, since_authenticated = await authenticate(), 0.0
            # Streams of the same operation share a lookup.
            operation = await lookup.find_for(caller, workflow_id, max_age=pause / 2)
        except ProblemError as problem:
            log.info("a stream of events has ended", workflow_id=workflow_id, problem=problem.code)
            return
        except (TemporalUnavailableError, DatabaseUnavailableError) as error:
            log.warning("a stream of events waits", workflow_id=workflow_id, reason=str(error))
