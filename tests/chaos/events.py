"""Makes the planned events happen to an installation, and repairs everything afterwards."""

import asyncio
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg

from app.embedded.server import EmbeddedServer
from tests.chaos.checks.ledger import Ledger
from tests.chaos.plan import REPLICAS, Event, Kind
from tests.chaos.stack import Installation

ALL_BUT_OURS = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"


class Chaos:
    """Events at their times; events on one server or connection wait for each other.

    `happened` counts them by kind, and `say` is called as each begins.
    """

    def __init__(self, ledger: Ledger, installation: Installation, say: Callable[[str], None]) -> None:
        self.happened: Counter[Kind] = Counter()
        self._ledger = ledger
        self._installation = installation
        self._say = say
        self._locks: dict[str | tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        servers = installation.servers
        self._actions: dict[Kind, Callable[[Event], Awaitable[None]]] = {
            Kind.REPLICA_KILLED: self._kill_replica,
            Kind.REPLICA_TERMINATED: self._terminate_replica,
            Kind.DATABASE_KILLED: lambda event: self._restart("database", servers.postgres, signal.SIGKILL, event),
            # PostgreSQL's immediate shutdown.
            Kind.DATABASE_STOPPED: lambda event: self._restart("database", servers.postgres, signal.SIGQUIT, event),
            Kind.DATABASE_READ_ONLY: self._make_read_only,
            Kind.BACKENDS_TERMINATED: self._terminate_backends,
            Kind.TEMPORAL_KILLED: lambda event: self._restart("temporal", servers.temporal, signal.SIGKILL, event),
            Kind.CUT: self._cut,
            Kind.REFUSED: self._refuse,
            Kind.STALLED: self._stall,
            Kind.RESPONSES_LOST: self._lose_responses,
            Kind.LASTING_OUTAGE: self._keep_database_away,
        }

    async def run(self, events: tuple[Event, ...]) -> None:
        """Make all events happen at their seconds of the run; return when everything is up again."""
        async with asyncio.TaskGroup() as group:
            for event in events:
                group.create_task(self._at_its_time(event))
        await self._installation.ready()

    async def _at_its_time(self, event: Event) -> None:
        await asyncio.sleep(max(0.0, event.at - self._ledger.now))
        place = " to ".join(part for part in (event.replica, event.server) if part)
        self._say(f"{event.at:6.1f} s  {event.kind} {place}{f' for {event.seconds:.1f} s' if event.seconds else ''}")
        await self._actions[event.kind](event)
        self.happened[event.kind] += 1

    async def _kill_replica(self, event: Event) -> None:
        await self._installation.replicas[str(event.replica)].kill(event.seconds)

    async def _terminate_replica(self, event: Event) -> None:
        await self._installation.replicas[str(event.replica)].terminate(event.seconds)

    async def _restart(self, name: str, server: EmbeddedServer, how: signal.Signals, event: Event) -> None:
        async with self._locks[name]:
            server.process.send_signal(how)
            await asyncio.sleep(event.seconds)
            # Waits for the remaining processes.
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)

    async def _make_read_only(self, event: Event) -> None:
        database = self._installation.servers.database
        async with self._locks["database"], self._maintenance() as connection:
            await connection.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
            await connection.execute(f"SELECT pg_terminate_backend(pid) {ALL_BUT_OURS}")
            await asyncio.sleep(event.seconds)
            await connection.execute(f'ALTER DATABASE "{database}" RESET default_transaction_read_only')

    async def _terminate_backends(self, _event: Event) -> None:
        async with self._locks["database"], self._maintenance() as connection:
            await connection.execute(f"SELECT pg_terminate_backend(pid) {ALL_BUT_OURS}")

    @asynccontextmanager
    async def _maintenance(self) -> AsyncIterator[asyncpg.Connection]:
        """Open a connection to the server's own database, which the events don't affect."""
        postgres = self._installation.servers.postgres
        connection = await asyncpg.connect(postgres.admin_url, database="postgres")
        try:
            yield connection
        finally:
            await connection.close()

    async def _cut(self, event: Event) -> None:
        self._installation.links[event.wire].cut()

    async def _refuse(self, event: Event) -> None:
        await self._refuse_on([event.wire], event.seconds)

    async def _keep_database_away(self, event: Event) -> None:
        await self._refuse_on([(replica, "database") for replica in REPLICAS], event.seconds)

    async def _refuse_on(self, wires: list[tuple[str, str]], seconds: float) -> None:
        async with AsyncExitStack() as locks:
            for wire in wires:
                await locks.enter_async_context(self._locks[wire])
            proxies = [self._installation.links[wire] for wire in wires]
            for proxy in proxies:
                proxy.refuse()
            await asyncio.sleep(seconds)
            for proxy in proxies:
                await proxy.accept()

    async def _stall(self, event: Event) -> None:
        wire = event.wire
        async with self._locks[wire]:
            self._installation.links[wire].stall()
            await asyncio.sleep(event.seconds)
            self._installation.links[wire].flow()

    async def _lose_responses(self, event: Event) -> None:
        wire = event.wire
        async with self._locks[wire]:
            self._installation.links[wire].mute()
            await asyncio.sleep(event.seconds)
            self._installation.links[wire].cut()
            self._installation.links[wire].flow()
