"""Parts of a page that move by themselves: rendered again, and sent as server-sent events if they have changed."""

import json
import re
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

DELAYED = "What you see may be old: {} not available. Trying again…"
# What a browser counts down itself, which is no change.
COUNTDOWN = re.compile("(<time [^>]*data-countdown[^>]*>)[^<]*")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Parts:
    """The texts of elements of a page, by the elements' ids. With `is_final` they will not change any more.

    The page puts into the elements only what differs. Elements within that may move need an id or `data-focus`; rows
    have that of their first link. What has the role `alert` or `status` is read out when it appears or changes.
    """

    texts: Mapping[str, str]
    is_final: bool = False


Render = Callable[[Caller], Awaitable[Parts]]


def live_parts(request: Request, caller: Caller, scope: Scope, render: Render, *, pace: float = 1.0) -> Response:
    """Return a stream of the parts: all of them now, and then those that have changed.

    The pause between two looks doubles up to `pace` seconds while nothing changes. The stream ends when the parts are
    final, and when the session has ended or lacks the scope. `static/live.js` connects again and shows why it can't.
    """
    slot_of(request).become_stream()
    authenticate = partial(authenticate_again, request, scope)
    return EventSourceResponse(_events(request, caller, authenticate, render, pace), headers=UNBUFFERED)


async def _events(
    request: Request, caller: Caller, authenticate: Callable[[], Awaitable[Caller]], render: Render, pace: float
) -> AsyncIterator[bytes]:
    lookup, shown = find_service(request, OperationLookup), _Shown()
    pause, since_sent, since_authenticated = MIN_POLL_INTERVAL, 0.0, 0.0
    while True:
        try:
            if since_authenticated >= AUTHENTICATION_INTERVAL:
                caller, since_authenticated = await authenticate(), 0.0
            event = shown.update(await render(caller))
        except ProblemError as problem:
            # The browser gets it when it connects again.
            log.info("live parts have ended", path=request.url.path, problem=problem.code)
            return
        except (TemporalUnavailableError, DatabaseUnavailableError) as error:
            log.warning("live parts wait", path=request.url.path, reason=str(error))
            event = shown.delay(error)
        if event is not None:
            yield event
            pause, since_sent = MIN_POLL_INTERVAL, 0.0
        if shown.is_final:
            yield _event("end", {})
            return
        if since_sent >= PING_INTERVAL:
            yield PING
            since_sent = 0.0
        if not await lookup.pause(pause):
            return
        since_sent, since_authenticated = since_sent + pause, since_authenticated + pause
        pause = min(pause * 2, max(pace, MAX_POLL_INTERVAL))


class _Shown:
    """What a browser shows: the parts without countdowns, and whether it knows that they may be old."""

    def __init__(self) -> None:
        self.is_final = False
        self._texts: Mapping[str, str] = {}
        self._is_delayed = False

    def update(self, parts: Parts) -> bytes | None:
        """Return the event with the parts that differ, or None if none does."""
        texts = {name: COUNTDOWN.sub(r"\1", text) for name, text in parts.texts.items()}
        changed = {name: parts.texts[name] for name, text in texts.items() if self._texts.get(name) != text}
        is_news = bool(changed) or self._is_delayed
        self._texts, self._is_delayed, self.is_final = texts, False, parts.is_final
        return _event("parts", changed) if is_news else None

    def delay(self, error: DatabaseUnavailableError | TemporalUnavailableError) -> bytes | None:
        """Return the event that the parts may be old, or None if the browser knows that."""
        if self._is_delayed:
            return None
        self._is_delayed = True
        missing = "the database is" if isinstance(error, DatabaseUnavailableError) else "Temporal is"
        return _event("delayed", {"detail": DELAYED.format(missing)})


def _event(name: str, data: Mapping[str, str]) -> bytes:
    return format_sse_event(data_str=json.dumps(data), event=name)
