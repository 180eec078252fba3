"""Servers of a single installation, and outages of its database."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import asyncpg

from app.embedded.processes.blocking import run_blocking
from tests.support.alga import build_template
from tests.support.servers.restartable import RestartablePostgres, RestartableTemporal, kill

# Not a superuser, because limits don't apply to those.
OWNER = "alga_owner"
PASSWORD = "owner-of-the-tables"
DATABASE = "alga_own"
OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"


@dataclass(frozen=True)
class Servers:
    """PostgreSQL with a database of all of Alga's tables, and Temporal; both can be killed and restarted."""

    postgres: RestartablePostgres
    temporal: RestartableTemporal

    @property
    def owner_url(self) -> str:
        """The database's URL for the role that owns the tables."""
        return self._url(self.postgres.url, f"{OWNER}:{PASSWORD}")

    @property
    def application_url(self) -> str:
        """The database's URL for Alga's own role."""
        return self._url(self.postgres.url)

    @asynccontextmanager
    async def superuser(self, database: str = DATABASE) -> AsyncIterator[asyncpg.Connection]:
        """A connection without limits; it may be lost at the end."""
        connection = await asyncpg.connect(self.postgres.admin_url, database=database)
        try:
            yield connection
        finally:
            connection.terminate()

    def create_database(self, template: str | None = None) -> str:
        """Make the database and its owner; a `NewDatabase` that works once and without a template."""
        if template is not None:
            raise ValueError("there is nothing to copy")
        run_blocking(self._create())
        return self.owner_url

    async def _create(self) -> None:
        async with self.superuser("postgres") as connection:
            await connection.execute(f"CREATE ROLE {OWNER} LOGIN PASSWORD '{PASSWORD}'")
            await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")

    @staticmethod
    def _url(url: str, login: str | None = None) -> str:
        parts = urlsplit(url)
        login = login or f"{parts.username}:{parts.password}"
        return parts._replace(netloc=f"{login}@{parts.hostname}:{parts.port}", path=f"/{DATABASE}").geturl()


@contextmanager
def own_servers(folder: Path) -> Iterator[Servers]:
    """Servers on disk, with the database."""
    with (
        RestartablePostgres(folder / "own-postgres") as postgres,
        RestartableTemporal(folder / "own-temporal") as temporal,
    ):
        servers = Servers(postgres, temporal)
        build_template("plain", servers.create_database)
        yield servers


@asynccontextmanager
async def killed(servers: Servers) -> AsyncIterator[None]:
    """Stop the server."""
    await anyio.to_thread.run_sync(kill, servers.postgres)
    try:
        yield
    finally:
        await anyio.to_thread.run_sync(servers.postgres.start)


@asynccontextmanager
async def read_only(servers: Servers) -> AsyncIterator[None]:
    """Make the server read-only, as a standby is; connections made in the meantime stay read-only."""
    async with servers.superuser("postgres") as connection:
        await connection.execute(f"ALTER DATABASE {DATABASE} SET default_transaction_read_only = on")
        await connection.execute(OTHERS, DATABASE)
        try:
            yield
        finally:
            await connection.execute(f"ALTER DATABASE {DATABASE} RESET default_transaction_read_only")


@asynccontextmanager
async def without_connections(servers: Servers) -> AsyncIterator[None]:
    """Leave the server no connection for the worker."""
    async with servers.superuser("postgres") as connection:
        await connection.execute(f"ALTER ROLE {OWNER} CONNECTION LIMIT 0")
        await connection.execute(OTHERS, DATABASE)
        try:
            yield
        finally:
            await connection.execute(f"ALTER ROLE {OWNER} CONNECTION LIMIT -1")


@dataclass(frozen=True)
class Outage:
    """An outage of the database, and the problem code that operations show in the meantime."""

    happening: Callable[[Servers], AbstractAsyncContextManager[None]]
    code: str


OUTAGES = {
    "killed": Outage(killed, "database-unavailable"),
    "read-only": Outage(read_only, "database-read-only"),
    "out-of-connections": Outage(without_connections, "database-busy"),
}
