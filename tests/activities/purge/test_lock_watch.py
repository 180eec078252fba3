"""Purges that wait for other sessions say so, and one whose session is lost ends."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from activities.database.engines import create_engine
from activities.errors import to_application_error
from activities.purge import purge as purge_module
from activities.purge.catalogue import read_catalogue
from activities.purge.errors import LockTimeoutError, SessionLostError
from activities.purge.lock_watch import watch_locks
from activities.purge.purge import purge_tenant
from app.embedded.postgres import EmbeddedPostgres
from tests.activities.purge.small import OURS, THEIRS
from tests.support.servers.databases import NewDatabase
from tests.support.servers.pgbouncer import PgBouncer
from tests.support.servers.proxy import Proxy
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

TABLES = f"""
    CREATE TABLE tenants (tenant uuid PRIMARY KEY);
    CREATE TABLE tickets (tenant uuid, note text);
    INSERT INTO tenants VALUES ('{OURS}'), ('{THEIRS}');
    INSERT INTO tickets VALUES ('{OURS}', 'confidential'), ('{OURS}', 'confidential');
"""  # noqa: S608 - the test's own
ROW, TABLE = "a row of table tickets", "table tickets"
LOCKS = {ROW: "UPDATE tickets SET note = 'confidential'", TABLE: "LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE"}


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    url = new_database()
    connection = await asyncpg.connect(url)
    await connection.execute(TABLES)
    await connection.close()
    return url


@pytest.fixture
async def observer(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def other(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A session that locks something."""
    connection = await asyncpg.connect(url, server_settings={"application_name": "other"})
    yield connection
    await connection.close()


@pytest.fixture
def address(request: pytest.FixtureRequest, url: str) -> Iterator[tuple[str, bool]]:
    """The database's URL, and whether it leads to PgBouncer."""
    if request.param == "direct":
        yield url, False
        return
    folder, postgres = (request.getfixturevalue(name) for name in ("server_folder", "postgres"))
    with PgBouncer(folder / uuid4().hex, postgres) as server:
        yield server.url(url), True


def engine_of(url: str, *, pgbouncer: bool = False) -> AsyncEngine:
    address = make_url(url).set(drivername="postgresql+asyncpg")
    return create_engine(address, application_name="purge", pool_size=2, statement_timeout=60, pgbouncer=pgbouncer)


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = engine_of(url)
    yield engine
    await engine.dispose()


async def watched_purge(engine: AsyncEngine, watching: AsyncEngine | None = None) -> None:
    async with engine.begin() as connection:
        catalogue = await read_catalogue(connection)
        async with watch_locks(watching or engine, connection, interval=0.05):
            await purge_tenant(connection, catalogue, OURS, management_tenant_id=None)


def warnings(lines: list[Any]) -> list[Any]:
    return [line for line in lines if line["log_level"] == "warning"]


@pytest.mark.parametrize(
    ("address", "locked"), [("direct", ROW), ("direct", TABLE), ("pgbouncer", ROW)], indirect=["address"]
)
async def test_a_purge_that_waits_logs_once_for_whom_and_goes_on(
    address: tuple[str, bool], other: asyncpg.Connection, locked: str
) -> None:
    url, is_pooled = address
    engine = engine_of(url, pgbouncer=is_pooled)
    with capture_logs() as lines:
        async with anyio.create_task_group() as group:
            transaction = other.transaction()
            await transaction.start()
            await other.execute(LOCKS[locked])
            since = await other.fetchval("SELECT now()")
            group.start_soon(watched_purge, engine)

            async def is_logged() -> bool:
                return bool(warnings(lines))

            await wait_until(is_logged, timeout=30, every=0.02)
            # Time for several more looks.
            await anyio.sleep(0.3)
            await transaction.commit()

    assert warnings(lines) == [
        {
            "event": "a purge waits for a lock",
            "log_level": "warning",
            "table": "tickets",
            "pid": other.get_server_pid(),
            "application": "other",
            "state": "idle in transaction",
            "since": since.isoformat(),
        }
    ]
    assert await other.fetchval("SELECT count(*) FROM tickets") == 0
    await engine.dispose()


@pytest.mark.parametrize("locked", LOCKS)
async def test_a_lock_that_is_not_given_in_time_is_a_passing_error_that_names_its_holder(
    engine: AsyncEngine, other: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, locked: str
) -> None:
    monkeypatch.setattr(purge_module, "LOCK_TIMEOUT", "2s")
    async with other.transaction():
        await other.execute(LOCKS[locked])
        with pytest.raises(LockTimeoutError) as caught:
            await watched_purge(engine)

    shown = to_application_error(caught.value)
    assert (shown.type, shown.non_retryable) == ("lock-timeout", False)
    assert f"pid {other.get_server_pid()} (other, idle in transaction, in a transaction since 2" in str(shown)
    assert str(shown).endswith(f"has locked {locked}")
    assert "confidential" not in str(shown)
    assert await other.fetchval("SELECT count(*) FROM tickets") == 2


async def test_a_purge_whose_session_is_lost_ends_although_its_connection_is_silent(
    url: str,
    engine: AsyncEngine,
    other: asyncpg.Connection,
    observer: asyncpg.Connection,
    postgres: EmbeddedPostgres,
) -> None:
    raised: list[Exception] = []

    async def purge_on_lost_connection(lost: AsyncEngine) -> None:
        try:
            await watched_purge(lost, engine)
        except SessionLostError as error:
            raised.append(error)

    async with Proxy(postgres.port) as proxy, other.transaction():
        await other.execute(LOCKS[ROW])
        lost = engine_of(url.replace(f":{postgres.port}/", f":{proxy.port}/"))
        async with anyio.create_task_group() as group:
            group.start_soon(purge_on_lost_connection, lost)
            waits = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'purge'"

            async def is_waiting() -> bool:
                return bool(await observer.fetchval(f"SELECT EXISTS (SELECT {waits})"))

            await wait_until(is_waiting, timeout=30, every=0.02)
            proxy.stall()
            await observer.execute(f"SELECT pg_terminate_backend(pid) {waits}")
        await lost.dispose()

    assert to_application_error(raised[0]).type == "database-unavailable"
    assert await other.fetchval("SELECT count(*) FROM tickets") == 2


async def test_without_a_second_connection_the_purge_goes_on(
    url: str, engine: AsyncEngine, other: asyncpg.Connection
) -> None:
    nowhere = engine_of(make_url(url).set(port=1).render_as_string(hide_password=False))
    with capture_logs() as lines:
        async with anyio.create_task_group() as group:
            transaction = other.transaction()
            await transaction.start()
            await other.execute(LOCKS[TABLE])
            group.start_soon(watched_purge, engine, nowhere)

            async def is_logged() -> bool:
                return bool(warnings(lines))

            await wait_until(is_logged, timeout=30, every=0.02)
            await transaction.commit()

    assert [line["event"] for line in warnings(lines)] == ["a purge can't be watched for locks"]
    assert await other.fetchval("SELECT count(*) FROM tickets") == 0
