"""AuditEventBuffer: buffers audit events and flushes them once a second, merging identical ones."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.events import Action, AuditEvent, Outcome
from activities.audit.trail import AuditTrail
from activities.database.errors import DATABASE_ERRORS, classify

log = structlog.get_logger(__name__)

FLUSH_INTERVAL = 1.0
# Rows per second, whatever number of addresses a flood comes from.
MAX_DISTINCT_EVENTS = 200
# Other events than denials accumulate only while the database is unavailable. Denials must not displace them.
MAX_OTHER_EVENTS = 5000
MAX_COUNT = 2**31 - 1
# The caller and the reason of an event that stands for those beyond the limits.
# Both are stored in audit rows, so their values stay as they are.
SEVERAL = "several"
OVERFLOW = "not-told-apart"
# Events that are equal in these fields are identical.
IDENTITY_FIELDS = (
    *("action", "outcome", "reason", "caller", "on_behalf_of", "tenant_id", "workflow_id", "subject"),
    *("address", "method", "path"),
)
# Temporal's UI decodes the payloads of one history in dozens of requests.
AGGREGATED_ACTIONS = frozenset({Action.PAYLOADS_DECODE})


class AuditEventBuffer:
    """Keeps events in memory and flushes them while its `async with` block runs, and at its end.

    Events are kept as long as the database is unavailable. Events that a commit with a lost result has written are
    not written again. Beyond the limits, distinct events are only counted.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        trail: AuditTrail,
        *,
        interval: float = FLUSH_INTERVAL,
        max_distinct: int = MAX_DISTINCT_EVENTS,
    ) -> None:
        self._engine = engine
        self._trail = trail
        self._interval = interval
        self._max_distinct = max_distinct
        self._batch = _Batch(max_distinct)
        # Unchanged until they are written, because a commit may succeed although its result is lost.
        self._writing: list[AuditEvent] = []
        self._is_unavailable = False
        self._ending = asyncio.Event()
        self._has_events = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start to flush."""
        self._task = asyncio.create_task(self._flush_regularly())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write the remaining events, in one attempt."""
        self._ending.set()
        self._has_events.set()
        if self._task is not None:
            await self._task
        # Events whose first attempt has failed are written first, on their own.
        if await self._flush():
            await self._flush()
        if lost := _total([*self._writing, *self._batch.events()]):
            log.error("audit events are lost", count=lost)

    def add(self, event: AuditEvent) -> None:
        """Add an event to be written soon. This never waits and never fails."""
        self._batch.add(event)
        self._has_events.set()

    async def _flush_regularly(self) -> None:
        while True:
            await self._has_events.wait()
            # Events that follow within the interval are written together.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), self._interval)
            if self._ending.is_set():
                return
            self._has_events.clear()
            if not await self._flush():
                self._has_events.set()

    async def _flush(self) -> bool:
        """Write one batch; return False if the database is unavailable."""
        if not self._writing:
            self._writing, self._batch = self._batch.events(), _Batch(self._max_distinct)
        if not self._writing:
            return True
        try:
            async with self._engine.begin() as connection:
                await self._trail.append_once(connection, self._writing)
        except DATABASE_ERRORS as error:
            if not self._is_unavailable:
                diagnosis = classify(error)
                reason = diagnosis.detail if diagnosis is not None else type(error).__name__
                log.warning("audit events wait for the database", reason=reason)
            self._is_unavailable = True
            return False
        except Exception:
            # Retrying these without end would block all other events.
            log.exception("audit events are lost", count=_total(self._writing))
        else:
            if self._is_unavailable:
                log.info("audit events are written again")
            self._is_unavailable = False
        self._writing = []
        return True


def _total(events: Iterable[AuditEvent]) -> int:
    return sum(event.count for event in events)


class _AggregatedEvent:
    """An event that identical ones are merged into. Numbers in their details are added up."""

    def __init__(self, first: AuditEvent) -> None:
        self._first = self._last = first
        self._count = 0
        self._sums: Counter[str] = Counter()
        self.add(first)

    def add(self, event: AuditEvent) -> None:
        self._last = event
        self._count += event.count
        self._sums.update({name: value for name, value in event.details.items() if type(value) is int})

    def event(self) -> AuditEvent:
        if self._last is self._first:
            return self._first
        details = {**self._first.details, **self._sums, "until": self._last.occurred_at.isoformat()}
        return replace(self._first, count=min(self._count, MAX_COUNT), details=details)


class _Batch:
    """Events by their identity, and the number of those beyond the limits by action and outcome."""

    def __init__(self, max_denials: int) -> None:
        self._capacity = {True: max_denials, False: MAX_OTHER_EVENTS}
        self._distinct: dict[object, _AggregatedEvent] = {}
        self._overflow: dict[tuple[Action, Outcome], _AggregatedEvent] = {}

    def add(self, event: AuditEvent) -> None:
        is_denial = event.outcome is Outcome.DENIED
        # Other events mostly remain separate, because each has its own request id and perhaps its own details.
        is_aggregated = is_denial or event.action in AGGREGATED_ACTIONS
        key = tuple(getattr(event, name) for name in IDENTITY_FIELDS) if is_aggregated else event.id
        if key in self._distinct:
            self._distinct[key].add(event)
        elif self._capacity[is_denial]:
            self._capacity[is_denial] -= 1
            self._distinct[key] = _AggregatedEvent(event)
        else:
            self._count(event, is_denial=is_denial)

    def _count(self, event: AuditEvent, *, is_denial: bool) -> None:
        if not is_denial:
            log.error("too many audit events wait; the trail will only count this one", audit_event=event.values())
        action, outcome = event.action, event.outcome
        if (action, outcome) in self._overflow:
            self._overflow[action, outcome].add(event)
            return
        first = AuditEvent(
            action=action,
            outcome=outcome,
            caller=SEVERAL,
            reason=OVERFLOW,
            count=event.count,
            occurred_at=event.occurred_at,
        )
        self._overflow[action, outcome] = _AggregatedEvent(first)

    def events(self) -> list[AuditEvent]:
        return [merged.event() for merged in [*self._distinct.values(), *self._overflow.values()]]
