"""What the overview shows. All its viewers share the same looks, so their number does not matter to the database."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.operations.queries import OperationFilter, list_operations
from activities.operations.statistics import (
    Durations,
    HourCount,
    count_by_hour,
    count_by_status,
    measure_durations,
)
from activities.webhooks.queries import TroubledWebhook, find_troubled
from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.database import database_errors
from app.gateway.http.coalescing import CachedLookups
from app.gateway.operations.documents import summary
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.schemas import OperationSummary
from app.gateway.readiness import Readiness
from app.probes import CheckFailedError
from workflows.operations.kinds import KINDS
from workflows.operations.statuses import OperationStatus

HOURS = 24
MONTH = timedelta(days=30)
SHOWN_WAITING = 20
SHOWN_RECENT = 10
# Open operations whose state is read from Temporal, the newest ones.
ASKED_ABOUT = 50
# Seconds. The history reads the rows of a month.
PRESENT_AGE = 1.0
HISTORY_AGE = 15.0
STATUS_AGE = 5.0
HEALTH_AGE = 5.0
# Tenants whose bound callers look at the same time.
MAX_BINDINGS = 500
ALL = ""

TEMPORAL_AWAY = (
    "Temporal does not respond. You see what the database has recorded. "
    "Nothing starts or goes on until Temporal is back."
)

WAITING = (OperationStatus.NEEDS_ATTENTION, OperationStatus.AWAITING_CONFIRMATION)
# Those of rows that do not show a wait yet.
MAY_WAIT = (OperationStatus.QUEUED, OperationStatus.RUNNING, OperationStatus.RETRYING)


@dataclass(frozen=True)
class Group:
    """A group of statuses, as people look at them."""

    title: str
    statuses: tuple[OperationStatus, ...]

    def count(self, counts: Mapping[OperationStatus, int]) -> int:
        """Return the number of operations in the group."""
        return sum(counts.get(status, 0) for status in self.statuses)


COMPLETED = Group("Completed", (OperationStatus.COMPLETED,))
IN_PROGRESS = Group(
    "In progress", tuple(status for status in OperationStatus if status.is_open and status not in WAITING)
)
WAITS = Group("Wait for a person", WAITING)
FAILED = Group("Failed", (OperationStatus.FAILED,))
CANCELLED = Group("Cancelled", (OperationStatus.CANCELLED,))
GROUPS = (COMPLETED, IN_PROGRESS, WAITS, FAILED, CANCELLED)


@dataclass(frozen=True)
class Present:
    """The operations of the last day, those that wait for a person, and the newest ones."""

    since: datetime
    hours: tuple[HourCount, ...]
    waiting: tuple[OperationSummary, ...]
    recent: tuple[OperationSummary, ...]

    @property
    def by_hour(self) -> dict[datetime, Counter[OperationStatus]]:
        """The operations of each hour of the last day, by status."""
        found: dict[datetime, Counter[OperationStatus]] = {
            self.since + timedelta(hours=index): Counter() for index in range(HOURS)
        }
        for count in self.hours:
            # The clocks of gateway and database may differ around a full hour.
            found.setdefault(count.hour, Counter())[count.status] += count.number
        return found

    @property
    def counts(self) -> Counter[OperationStatus]:
        """The operations of the last day, by status."""
        counts: Counter[OperationStatus] = Counter()
        for hour in self.hours:
            counts[hour.status] += hour.number
        return counts


@dataclass(frozen=True)
class History:
    """The operations of the last month, by status, and how long they took."""

    since: datetime
    counts: Mapping[OperationStatus, int]
    durations: tuple[Durations, ...]


@dataclass(frozen=True)
class Look:
    """All that the overview shows. `health` has a sentence for each thing that stops operations."""

    present: Present
    history: History
    webhooks: tuple[TroubledWebhook, ...]
    health: tuple[str, ...]


class Overview:
    """Reads what the overview shows. A caller that is bound to a tenant sees only the operations of that tenant."""

    def __init__(self, engine: AsyncEngine, readiness: Readiness, lookup: OperationLookup) -> None:
        self._engine = engine
        self._lookup = lookup
        self._readiness = readiness
        self._present = CachedLookups(self._read_present, PRESENT_AGE, MAX_BINDINGS)
        self._history = CachedLookups(self._read_history, HISTORY_AGE, MAX_BINDINGS)
        self._webhooks = CachedLookups(self._read_webhooks, PRESENT_AGE, 1)
        self._health = CachedLookups(self._check_health, HEALTH_AGE, 1)

    async def look(self, caller: Caller) -> Look:
        """Return what a caller may see; raise `DatabaseUnavailableError`."""
        key = ALL if caller.tenant_id is None else str(caller.tenant_id)
        may_see_webhooks = caller.tenant_id is None and Scope.WEBHOOKS_MANAGE in caller.scopes
        return Look(
            await self._present.get(key),
            await self._history.get(key),
            await self._webhooks.get(ALL) if may_see_webhooks else (),
            await self._health.get(ALL),
        )

    async def _read_present(self, key: str) -> Present:
        tenant_id = _tenant_id(key)
        since = _this_hour() - timedelta(hours=HOURS - 1)
        wanted = (OperationFilter(tenant_id, statuses=WAITING), OperationFilter(tenant_id, statuses=MAY_WAIT))
        with database_errors():
            async with self._engine.connect() as connection:
                hours = await count_by_hour(connection, since, tenant_id)
                waits, open_ones = [
                    await list_operations(connection, one, limit=limit)
                    for one, limit in zip(wanted, (SHOWN_WAITING, ASKED_ABOUT), strict=True)
                ]
                newest = await list_operations(connection, OperationFilter(tenant_id), limit=SHOWN_RECENT)
        recorded = {record.workflow_id: summary(record) for record in (*waits, *open_ones, *newest)}
        current = await self._lookup.refresh(list(recorded.values()), max_age=STATUS_AGE)
        by_id = {operation.workflow_id: operation for operation in current}
        waiting = [operation for operation in current if operation.status in WAITING and not operation.has_ended]
        return Present(
            since,
            (*hours, *_corrections(recorded.values(), current, since)),
            tuple(waiting[:SHOWN_WAITING]),
            tuple(by_id[record.workflow_id] for record in newest),
        )

    async def _read_history(self, key: str) -> History:
        tenant_id, since = _tenant_id(key), _this_hour() - MONTH
        with database_errors():
            async with self._engine.connect() as connection:
                counts = await count_by_status(connection, since, tenant_id)
                durations = await measure_durations(connection, since, tenant_id, _prompt_kinds())
        return History(since, counts, tuple(durations))

    async def _read_webhooks(self, _: str) -> tuple[TroubledWebhook, ...]:
        with database_errors():
            async with self._engine.connect() as connection:
                return tuple(await find_troubled(connection, datetime.now(UTC) - timedelta(hours=HOURS)))

    async def _check_health(self, _: str) -> tuple[str, ...]:
        try:
            await self._readiness.check_temporal()
        except CheckFailedError:
            return (TEMPORAL_AWAY,)
        try:
            await self._readiness.check_task_queue()
        except CheckFailedError as failure:
            return (f"Operations stay queued: {failure}. Start a worker.",)
        return ()


def _corrections(
    recorded: Iterable[OperationSummary], current: Iterable[OperationSummary], since: datetime
) -> Iterator[HourCount]:
    """Yield what the counts lack, since rows show a wait up to a minute late."""
    for old, new in zip(recorded, current, strict=True):
        if old.status != new.status and old.started_at is not None and old.started_at >= since:
            hour = old.started_at.replace(minute=0, second=0, microsecond=0)
            yield HourCount(hour, old.status, -1)
            yield HourCount(hour, new.status, 1)


def _this_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def _prompt_kinds() -> list[str]:
    """Return the kinds that do not wait for days, as those with a confirmation and a grace period do."""
    return [name for name, kind in KINDS.items() if not kind.is_staged]


def _tenant_id(key: str) -> UUID | None:
    return None if key == ALL else UUID(key)
