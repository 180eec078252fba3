"""Parts of a page that move by themselves: rendered again, and sent as server-sent events if they have changed."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.requests import Request
from starlette.responses import Response

from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.database import DatabaseUnavailableError
from app.gateway.access.authenticated_route import authenticate_again
from app.gateway.http.concurrency import slot_of
from app.gateway.http.dependencies import find_service
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.streaming.streams import AUTHENTICATION_INTERVAL
from app.gateway.operations.events import MAX_POLL_INTERVAL, MIN_POLL_INTERVAL, PING, PING_INTERVAL, UNBUFFERED
from app.gateway.operations.lookup import OperationLookup
from app.temporal.errors import TemporalUnavailableError

RECONNECT_MILLISECONDS = 2000
FINISHED, SIGNED_OUT = "finished", "signed-out"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Parts:
    """The texts of elements of a page, by the elements' ids. With `is_final` they will not change any more."""

    texts: Mapping[str, str]
    is_final: bool = False


Render = Callable[[Caller], Awaitable[Parts]]


def live_parts(request: Request, caller: Caller, scope: Scope, render: Render, *, pace: float = 1.0) -> Response:
    """Return a stream of the parts: all of them now, and then those that have changed.

    The pause between two looks doubles up to `pace` seconds while nothing changes. The stream ends when the parts are
    final, and when the session has ended or lacks the scope.
    """
    slot_of(request).become_stream()
    authenticate = partial(authenticate_again, request, scope)
    return EventSourceResponse(_events(request, caller, authenticate, render, pace), headers=UNBUFFERED)


async def _events(
    request: Request, caller: Caller, authenticate: Callable[[], Awaitable[Caller]], render: Render, pace: float
) -> AsyncIterator[bytes]:
    lookup = find_service(request, OperationLookup)
    sent: dict[str, str] = {}
    pause, since_sent, since_authenticated = MIN_POLL_INTERVAL, 0.0, 0.0
    while True:
        try:
            if since_authenticated >= AUTHENTICATION_INTERVAL:
                caller, since_authenticated = await authenticate(), 0.0
            parts = await render(caller)
        except ProblemError as problem:
            log.info("live parts have ended", path=request.url.path, problem=problem.code)
            yield _event("end", {"reason": SIGNED_OUT})
            return
        except (TemporalUnavailableError, DatabaseUnavailableError) as error:
            log.warning("live parts wait", path=request.url.path, reason=str(error))
        else:
            changed = {name: text for name, text in parts.texts.items() if sent.get(name) != text}
            if changed:
                yield _event("parts", changed)
                sent |= changed
                pause, since_sent = MIN_POLL_INTERVAL, 0.0
            if parts.is_final:
                yield _event("end", {"reason": FINISHED})
                return
        if since_sent >= PING_INTERVAL:
            yield PING
            since_sent = 0.0
        if not await lookup.pause(pause):
            return
        since_sent, since_authenticated = since_sent + pause, since_authenticated + pause
        pause = min(pause * 2, max(pace, MAX_POLL_INTERVAL))


def _event(name: str, data: Mapping[str, str]) -> bytes:
    return format_sse_event(data_str=json.dumps(data), event=name, retry=RECONNECT_MILLISECONDS)
