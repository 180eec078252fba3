"""Stages for scenarios that provoke database errors, and assertions about these errors."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.engines import create_engine
from activities.database.errors import DATABASE_ERRORS, classify
from activities.errors import to_application_error
from app.database import DatabaseUnavailableError, database_errors
from app.embedded.postgres import EmbeddedPostgres
from tests.support.servers.pgbouncer import PgBouncer
from tests.support.servers.proxy import Proxy

SECOND = 1.0
# The value that scenarios write, and the password that they use. No error may show it.
SECRET = "secret"
# The rights of a new database.
OPEN = "GRANT USAGE ON SCHEMA public TO PUBLIC"


class Stage:
    """A server and a database for one scenario, emptied before it; all connections are closed after it."""

    def __init__(self, server: EmbeddedPostgres, url: str) -> None:
        self.server = server
        self.url = url
        self.database = urlsplit(url).path.lstrip("/")
        self.engines: list[AsyncEngine] = []
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._resources.__aenter__()
        await self.prepare("DROP SCHEMA IF EXISTS public, checks CASCADE", "CREATE SCHEMA public", OPEN)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resources.__aexit__(kind, error, trace)

    def engine(self, url: str | None = None, **options: Any) -> AsyncEngine:
        """Return an engine as the product makes it, which raises the error that ends the scenario."""
        target = make_url(url or self.url).set(drivername="postgresql+asyncpg")
        given: dict[str, Any] = {
            "application_name": "tests",
            "pool_size": 2,
            "statement_timeout": 5.0,
            "connect_timeout": 60.0,
        }
        engine = create_engine(target, **(given | options))
        self.engines.append(engine)
        self._resources.push_async_callback(engine.dispose)
        return engine

    async def session(self, url: str | None = None) -> asyncpg.Connection:
        """Open a session of another client, the superuser by default."""
        connection = await asyncpg.connect(url or self.url)
        self._resources.push_async_callback(connection.close, timeout=SECOND)
        return connection

    async def prepare(self, *statements: str) -> None:
        """Run statements as the superuser, each in a transaction of its own."""
        session = await self.session()
        for statement in statements:
            await session.execute(statement)

    def later(self, *statements: str) -> None:
        """Run statements after the scenario, as the superuser in the server's own database."""
        self._resources.push_async_callback(self._finish, *statements)

    async def stranger(self, options: str = "LOGIN") -> str:
        """Return the URL of a new role without rights."""
        await self.prepare(f"CREATE ROLE stranger {options} PASSWORD '{SECRET}'")
        self.later("DROP ROLE stranger")
        return self.url_of("stranger")

    def url_of(self, role: str, password: str = SECRET) -> str:
        """Return the database's URL for another client."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=f"{role}:{password}@{parts.hostname}:{parts.port}").geturl()

    async def _finish(self, *statements: str) -> None:
        session = await self.session(self.server.admin_url)
        for statement in statements:
            await session.execute(statement)


class PooledStage(Stage):
    """A stage whose engines connect through PgBouncer, declared as such; `wire` is between it and the server."""

    def __init__(self, server: EmbeddedPostgres, url: str, bouncer: PgBouncer, wire: Proxy) -> None:
        super().__init__(server, url)
        self.bouncer = bouncer
        self.wire = wire

    def engine(self, url: str | None = None, **options: Any) -> AsyncEngine:
        """Return an engine as the product makes it for PgBouncer."""
        return super().engine(self.bouncer.url(url or self.url), **({"pgbouncer": True} | options))


StageT = TypeVar("StageT", bound=Stage)
Act = Callable[[StageT], Awaitable[None]]


@dataclass(frozen=True)
class Provocation(Generic[StageT]):
    """A scenario in which a server makes an error of one line of the table, which is given by its name.

    `heals` says that the scenario's engines work again at once; `pooled` that the same happens behind PgBouncer.
    """

    line: str
    act: Act[StageT]
    heals: bool
    pooled: bool


class Provocations(Generic[StageT]):
    """The scenarios of a module."""

    def __init__(self) -> None:
        self.all: list[Provocation[StageT]] = []

    def of(self, line: str, *, heals: bool = True, pooled: bool = True) -> Callable[[Act[StageT]], Act[StageT]]:
        """Register a scenario of this line of the table."""

        def note(act: Act[StageT]) -> Act[StageT]:
            self.all.append(Provocation(line, act, heals, pooled))
            return act

        return note


def each(*provocations: Provocation[Any]) -> pytest.MarkDecorator:
    """Parametrize a test with the scenarios."""
    return pytest.mark.parametrize("provocation", provocations, ids=lambda provocation: provocation.act.__name__)


async def assert_reported_as_the_table_says(provocation: Provocation[StageT], stage: StageT) -> None:
    """Run the scenario; check what workflows and callers of the gateway get, and that the pool recovers."""
    with pytest.raises(DATABASE_ERRORS) as caught:
        await provocation.act(stage)
    assert_reported(caught.value, provocation.line)
    if provocation.heals:
        for engine in stage.engines:
            await run(engine, "SELECT 1")


def assert_reported(error: BaseException, line: str) -> None:
    """Check that workflows and callers of the gateway get what the line of the table says."""
    diagnosis = classify(error)
    assert diagnosis is not None
    assert diagnosis.known.name == line
    assert isinstance(error, Exception)
    if diagnosis.known.drops_connections and isinstance(error, DBAPIError):
        assert error.connection_invalidated
    shown = to_application_error(error)
    assert (shown.type, shown.non_retryable) == (diagnosis.known.code, diagnosis.known.is_final)
    assert shown.message.startswith(diagnosis.known.meaning)
    assert SECRET not in shown.message
    assert shown.__cause__ is None
    expected = type(error) if diagnosis.known.is_final else DatabaseUnavailableError
    with pytest.raises(expected) as raised, database_errors():
        raise error
    assert raised.value is error or str(raised.value) == shown.message


async def run(engine: AsyncEngine, *statements: str) -> None:
    """Run statements in one transaction of the engine."""
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))
