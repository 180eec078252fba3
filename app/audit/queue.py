"""Buffers audit events and writes them once a second, merging equal ones."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.events import Action, AuditEvent, Outcome
from activities.audit.trail import AuditTrail
from activities.database.errors import DATABASE_ERRORS, classify

log = structlog.get_logger(__name__)


INTERVAL = 1.0


# As many rows a second at most, however many addresses a flood comes from.
MOST_TOLD_APART = 200


# Others wait here only while the database is away, and a flood of denials must not push them out.
MOST_OTHERS = 5000


SEVERAL = "several"


NOT_TOLD_APART = "not-told-apart"


DIFFERENCES = (
    *("action", "outcome", "reason", "caller", "on_behalf_of", "tenant_id", "workflow_id", "subject"),
    *("address", "method", "path"),
)


LARGEST_COUNT = 2**31 - 1


# Temporal's UI asks for the payloads of one history in dozens of requests.
TOLD_TOGETHER = frozenset({Action.PAYLOADS_DECODE})


class Denials:
    """Keeps events in memory until they are written; runs while its block does, and writes what is left at its end.

    What the database can't take is kept and tried again; an event that was written already, though nobody heard so,
    is not written again. Beyond the bound of different ones they are only counted.
    """

    def __init__(
        self, engine: AsyncEngine, trail: AuditTrail, *, interval: float = INTERVAL, most: int = MOST_TOLD_APART
    ) -> None:
        self._engine = engine
        self._trail = trail
        self._interval = interval
        self._noted = _Batch(most)
        self._most = most
        # What is being written: unchanged until that has succeeded, because a commit may succeed unheard.
        self._writing: list[AuditEvent] = []
        self._is_away = False
        self._ending = asyncio.Event()
        self._something = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to write."""
        self._task = asyncio.create_task(self._write_regularly())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what is left, with one try."""
        self._ending.set()
        self._something.set()
        if self._task is not None:
            await self._task
        # What could not be written before goes first, and by itself.
        if await self._flush():
            await self._flush()
        if lost := _number([*self._writing, *self._noted.events()]):
            log.error("audit events are lost", count=lost)

    def note(self, event: AuditEvent) -> None:
        """Take an event to be written soon; never waits and never fails."""
        self._noted.add(event)
        self._something.set()

    async def _write_regularly(self) -> None:
        while True:
            await self._something.wait()
            # Those that follow within the interval go with it.
            await self._pause()
            if self._ending.is_set():
                return
            self._something.clear()
            if not await self._flush():
                self._something.set()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), self._interval)

    async def _flush(self) -> bool:
        """Write what waits; False where the database can't take it now."""
        if not self._writing:
            self._writing, self._noted = self._noted.events(), _Batch(self._most)
        if not self._writing:
            return True
        try:
            async with self._engine.begin() as connection:
                await self._trail.append_all(connection, await self._trail.unknown(connection, self._writing))
        except DATABASE_ERRORS as error:
            self._tell_once(error)
            return False
        except Exception:
            # Tried again for ever, it would keep all others from being written.
            log.exception("audit events are lost", count=_number(self._writing))
        else:
            if self._is_away:
                log.info("audit events are written again")
            self._is_away = False
        self._writing = []
        return True

    def _tell_once(self, error: Exception) -> None:
        if not self._is_away:
            diagnosis = classify(error)
            reason = diagnosis.detail if diagnosis is not None else type(error).__name__
            log.warning("audit events wait to be written", reason=reason)
        self._is_away = True


def _number(events: Iterable[AuditEvent]) -> int:
    return sum(event.count for event in events)


@dataclass
class _Alike:
    """Events that are told as one: the first, how many, when the last one was, and sums of the numbers in them."""

    first: AuditEvent
    count: int
    until: datetime
    sums: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._sum_up(self.first)

    def add(self, event: AuditEvent) -> None:
        self.count += event.count
        self.until = event.occurred_at
        self._sum_up(event)

    def _sum_up(self, event: AuditEvent) -> None:
        self.sums.update({name: value for name, value in event.details.items() if type(value) is int})

    def event(self) -> AuditEvent:
        if self.count == self.first.count:
            return self.first
        details = {**self.first.details, **self.sums, "until": self.until.isoformat()}
        return replace(self.first, count=min(self.count, LARGEST_COUNT), details=details)


class _Batch:
    """Events by what makes them different, and beyond the bounds their number."""

    def __init__(self, most_denied: int) -> None:
        self._rooms = {is_denied: most_denied if is_denied else MOST_OTHERS for is_denied in (True, False)}
        self._told_apart: dict[tuple[object, ...], _Alike] = {}
        self._several: dict[tuple[Action, Outcome], _Alike] = {}

    def add(self, event: AuditEvent) -> None:
        is_denied = event.outcome is Outcome.DENIED
        # What was done is mostly told one by one: each has a request id, and perhaps details, of its own.
        is_alike = is_denied or event.action in TOLD_TOGETHER
        key = tuple(getattr(event, name) for name in DIFFERENCES) if is_alike else (event.id,)
        if key in self._told_apart:
            self._told_apart[key].add(event)
        elif self._rooms[is_denied]:
            self._rooms[is_denied] -= 1
            self._told_apart[key] = _Alike(event, event.count, event.occurred_at)
        else:
            self._only_count(event, is_denied=is_denied)

    def _only_count(self, event: AuditEvent, *, is_denied: bool) -> None:
        if not is_denied:
            log.error("there are too many audit events to keep, and this line has all of one", told=event.values())
        if (kind := (event.action, event.outcome)) in self._several:
            self._several[kind].add(event)
        else:
            first = AuditEvent(
                action=event.action,
                outcome=event.outcome,
                caller=SEVERAL,
                reason=NOT_TOLD_APART,
                count=event.count,
                occurred_at=event.occurred_at,
            )
            self._several[kind] = _Alike(first, event.count, event.occurred_at)

    def events(self) -> list[AuditEvent]:
        return [alike.event() for alike in [*self._told_apart.values(), *self._several.values()]]
