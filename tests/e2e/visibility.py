"""Counts every tenant's rows over a separate connection, one snapshot after another, and keeps the results."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import anyio
import asyncpg

from tests.e2e.conftest import PATIENCE
from tests.support.tenants.rows import tenant_tables
from tests.support.waiting import wait_until

RECONNECT_SECONDS = 0.05
LOOK_EVERY = 0.01
MAX_TABLES_NAMED = 3
# Raised when the server of a connection is killed, shuts down, or starts up.
LOST = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
)

Counts = frozenset[tuple[str, int]]
"""A tenant's rows by table, without the tables in which it has none."""
NOTHING: Counts = frozenset()


@dataclass
class View:
    """Consecutive snapshots with the same rows of a tenant: the number of the first one, and how many."""

    first: int
    snapshots: int = 0


class Observer:
    """Takes snapshots until it is cancelled; a lost connection is replaced.

    `tables` is the number of tenant-scoped tables that each snapshot counts, `taken` the number of snapshots so far.
    A snapshot in which the same transactions have ended as in the one before shows the same rows, and is left out.
    `before` and `now` are the rows of all tenants in the first and the latest snapshot.
    """

    def __init__(self, connect: Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]) -> None:
        self.tables = 0
        self.taken = 0
        self._looks = 0
        self.before: dict[str, Counts] = {}
        self.now: dict[str, Counts] = {}
        self._connect = connect
        self._views: dict[str, dict[Counts, View]] = defaultdict(dict)

    async def run(self) -> None:
        """Take one snapshot after another."""
        while True:
            try:
                async with self._connect() as connection:
                    await self._observe(connection)
            except LOST:
                await anyio.sleep(RECONNECT_SECONDS)

    async def look(self) -> None:
        """Return after a snapshot that began after this call."""
        # The current one may have begun earlier.
        enough = self._looks + 2

        async def has_looked() -> bool:
            return self._looks >= enough

        await wait_until(has_looked, timeout=PATIENCE, every=LOOK_EVERY)

    def incomplete_views(self, completed: Collection[str]) -> Iterator[str]:
        """Describe the views of tenants with some, but not all, of their rows.

        Tenants in `completed`, and those before the first snapshot, must have the rows of the latest snapshot. All
        others must never have rows.
        """
        for tenant, views in self._views.items():
            rows = self.now.get(tenant, NOTHING) if tenant in completed or tenant in self.before else NOTHING
            for counts, view in views.items():
                if counts != rows:
                    yield f"tenant {tenant} had {_difference(counts, rows)} {self._when(view)}"
            first = min(view.first for view in views.values())
            absences = self.taken + 1 - first - sum(view.snapshots for view in views.values())
            if absences and rows:
                yield f"tenant {tenant} had no rows in {absences} snapshots after no. {first}, which showed it"

    async def _observe(self, connection: asyncpg.Connection) -> None:
        tables = await tenant_tables(connection)
        self.tables = len(tables)
        counts = "\nUNION ALL\n".join(
            f'SELECT \'{table}\', "{column}"::text, count(*) FROM "{table}" WHERE "{column}" IS NOT NULL '  # noqa: S608 - names from the catalogue
            f'GROUP BY "{column}"'
            for table, column in tables.items()
        )
        # Without a transaction asyncpg leaves the one open in which it parsed the statement.
        async with connection.transaction():
            census = await connection.prepare(counts)
        last = None
        while True:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                current = await connection.fetchval("SELECT pg_current_snapshot()::text")
                rows = await census.fetch() if current != last else None
            if rows is not None:
                self._keep(rows)
            last = current
            self._looks += 1
            await anyio.sleep(LOOK_EVERY)

    def _keep(self, rows: Collection[tuple[str, str, int]]) -> None:
        found: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for table, tenant, count in rows:
            found[tenant].append((table, count))
        self.now = {tenant: frozenset(counts) for tenant, counts in found.items()}
        if not self.taken:
            self.before = self.now
        self.taken += 1
        for tenant, counts in self.now.items():
            self._views[tenant].setdefault(counts, View(self.taken)).snapshots += 1

    def _when(self, view: View) -> str:
        return f"in {view.snapshots} of {self.taken} snapshots, first in no. {view.first}"


@asynccontextmanager
async def observing(
    connect: Callable[[], AbstractAsyncContextManager[asyncpg.Connection]],
) -> AsyncIterator[Observer]:
    """Run an observer, which has taken its first snapshot, until the end of the block."""
    observer = Observer(connect)
    async with anyio.create_task_group() as group:
        group.start_soon(observer.run)
        await observer.look()
        yield observer
        group.cancel_scope.cancel()


def rows_in(counts: Counts) -> int:
    """Return the number of rows in all tables."""
    return sum(count for _, count in counts)


def _difference(counts: Counts, rows: Counts) -> str:
    if not rows:
        return f"{rows_in(counts)} rows instead of none"
    differing = sorted({table for table, _ in counts ^ rows})
    named = ", ".join(differing[:MAX_TABLES_NAMED]) + (", …" if len(differing) > MAX_TABLES_NAMED else "")
    return f"{rows_in(counts)} of {rows_in(rows)} rows, with {len(differing)} tables incomplete ({named}),"
