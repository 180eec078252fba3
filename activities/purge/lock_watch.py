"""Watches a purge from a second connection: says at once which sessions block it, and notices if it is lost."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Integer, bindparam, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.database.errors import DATABASE_ERRORS, is_lock_timeout
from activities.purge.errors import LockTimeoutError, SessionLostError

INTERVAL = 2.0

_SELF = text("SELECT pg_backend_pid() AS pid, now() AS since")
# Without `track_activities`, a session shows no transaction.
_IS_OPEN = text("""
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = :pid AND coalesce(xact_start, :since) = :since)
""").bindparams(bindparam("pid", type_=Integer))
# A session that waits for a row waits for the transaction that has locked it, and itself locks the row's place. A
# prepared transaction has the pid 0. No query's text is read, because it may contain data.
_BLOCKERS = text("""
    SELECT DISTINCT blocker.pid, activity.application_name AS application, activity.state,
           activity.xact_start AS since, wanted.kind, wanted.relation::regclass::text AS relation
    FROM unnest(pg_blocking_pids(:pid)) AS blocker (pid)
    CROSS JOIN (
        SELECT max(relation) FILTER (WHERE NOT granted OR locktype = 'tuple') AS relation,
               max(locktype) FILTER (WHERE NOT granted) AS kind
        FROM pg_locks WHERE pid = :pid
    ) AS wanted
    LEFT JOIN pg_stat_activity AS activity ON activity.pid = blocker.pid
""").bindparams(bindparam("pid", type_=Integer))

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Blocker:
    """A session that holds a lock for which the purge waits; what the role may not see is None."""

    pid: int
    application: str | None
    state: str | None
    since: datetime | None
    kind: str | None
    relation: str | None

    def __str__(self) -> str:
        if not self.pid:
            return f"a prepared transaction (see pg_prepared_xacts) has locked {self._locked}"
        since = f"{self.since:%Y-%m-%d %H:%M:%S %Z}" if self.since else "an unknown time"
        return (
            f"pid {self.pid} ({self.application or 'unknown application'}, {self.state or 'unknown state'}, in a "
            f"transaction since {since}) has locked {self._locked}"
        )

    @property
    def _locked(self) -> str:
        if self.relation is None:
            return f"something of the type {self.kind}"
        return f"table {self.relation}" if self.kind == "relation" else f"a row of table {self.relation}"


@asynccontextmanager
async def watch_locks(
    engine: AsyncEngine, connection: AsyncConnection, *, interval: float = INTERVAL
) -> AsyncIterator[None]:
    """Watch the connection's transaction, on another connection, until the block ends, which must be before a commit.

    Each session that blocks the transaction is logged once. If a lock is awaited for too long, raises
    `LockTimeoutError`, which names those sessions. If the transaction is no longer open on the server, as after a
    failure of the network, cancels the block and raises `SessionLostError`.
    """
    watched = (await connection.execute(_SELF)).one()
    watch = _Watch(engine, watched._asdict())
    try:
        async with asyncio.timeout(None) as end:
            task = asyncio.create_task(watch.run(end, interval))
            try:
                yield
            finally:
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    task.result()
    except TimeoutError:
        if end.expired():
            raise SessionLostError from None
        raise
    except DBAPIError as error:
        if is_lock_timeout(error):
            raise LockTimeoutError(watch.last_blockers) from error
        raise


class _Watch:
    def __init__(self, engine: AsyncEngine, watched: Mapping[str, Any]) -> None:
        self._engine = engine
        self._watched = watched
        # Of the last two looks, because a wait may end just before the block does.
        self._blockers: deque[tuple[Blocker, ...]] = deque(((),), maxlen=2)

    @property
    def last_blockers(self) -> Sequence[Blocker]:
        return next(filter(None, reversed(self._blockers)), ())

    async def run(self, end: asyncio.Timeout, interval: float) -> None:
        """Look at the transaction regularly; end the block if it is not open any more."""
        logged: set[int] = set()
        is_open, is_blind = True, False
        while is_open:
            await asyncio.sleep(interval)
            try:
                is_open = await self._look()
                is_blind = False
            except DATABASE_ERRORS as error:
                if not is_blind:
                    log.warning("a purge can't be watched for locks", error=type(error).__name__)
                is_blind = True
            for blocker in self._blockers[-1]:
                if blocker.pid not in logged:
                    logged.add(blocker.pid)
                    _log(blocker)
        end.reschedule(asyncio.get_running_loop().time())

    async def _look(self) -> bool:
        """Note the blockers; return whether the transaction is open."""
        async with self._engine.connect() as connection:
            found = await connection.execute(_BLOCKERS, {"pid": self._watched["pid"]})
            self._blockers.append(tuple(Blocker(**row._asdict()) for row in found))
            return bool(await connection.scalar(_IS_OPEN, self._watched))


def _log(blocker: Blocker) -> None:
    log.warning(
        "a purge waits for a lock",
        table=blocker.relation,
        pid=blocker.pid,
        application=blocker.application,
        state=blocker.state,
        since=blocker.since.isoformat() if blocker.since else None,
    )
