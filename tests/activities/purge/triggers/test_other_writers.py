"""Sessions that write during a purge: they wait and are refused, or the purge sees their rows."""

from collections.abc import AsyncIterator

import anyio
import asyncpg
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.engines import create_engine
from activities.errors import to_application_error
from activities.purge import trigger_guard
from activities.purge.catalogue import read_catalogue
from activities.purge.errors import ForeignReferenceError
from activities.purge.purge import PurgeReport, purge_tenant
from tests.activities.purge.small import OURS, THEIRS
from tests.support.servers.databases import NewDatabase
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

GATE = 4_712
# The purge empties `gate` first, because it references others; holding that lock stops the purge after its checks.
TABLES = f"""
    CREATE TABLE tenants (tenant uuid PRIMARY KEY);
    CREATE TABLE clients (tenant uuid REFERENCES tenants, id int PRIMARY KEY);
    CREATE TABLE gate (tenant uuid, client int REFERENCES clients);
    CREATE TABLE tickets (tenant uuid REFERENCES tenants, client int REFERENCES clients ON DELETE CASCADE);
    INSERT INTO tenants VALUES ('{OURS}'), ('{THEIRS}');
    INSERT INTO clients VALUES ('{OURS}', 1), ('{THEIRS}', 2);
    INSERT INTO gate VALUES ('{OURS}', 1);
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock({GATE}); RETURN NULL; END $$;
    CREATE TRIGGER waits AFTER DELETE ON gate FOR EACH ROW EXECUTE FUNCTION wait();
"""  # noqa: S608 - the test's own
FORBID = """
    CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never'; END $$;
    CREATE TRIGGER forbids BEFORE DELETE ON clients FOR EACH ROW EXECUTE FUNCTION forbid();
"""


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    return new_database()


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    address = make_url(url).set(drivername="postgresql+asyncpg")
    engine = create_engine(address, application_name="purge", pool_size=1, statement_timeout=30)
    yield engine
    await engine.dispose()


@pytest.fixture
async def other(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Another session, in a database with the tables."""
    connection = await asyncpg.connect(url, server_settings={"application_name": "other"})
    await connection.execute(TABLES)
    yield connection
    await connection.close()


@pytest.fixture
async def observer(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def purge(engine: AsyncEngine) -> PurgeReport:
    async with engine.begin() as connection:
        return await purge_tenant(connection, await read_catalogue(connection), OURS, management_tenant_id=None)


async def until_waiting(observer: asyncpg.Connection, application: str) -> None:
    async def is_waiting() -> bool:
        found = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = $1"
        return bool(await observer.fetchval(f"SELECT EXISTS (SELECT {found})", application))

    await wait_until(is_waiting, timeout=20, every=0.02)


@pytest.mark.parametrize(
    "row",
    [f"tickets VALUES ('{THEIRS}', 1)", f"tickets VALUES ('{OURS}', 2)", f"clients VALUES ('{OURS}', 3)"],
    ids=["a neighbour's that would go with the tenant's", "the tenant's", "the tenant's that others may reference"],
)
async def test_a_row_added_after_the_checks_waits_and_is_refused(
    engine: AsyncEngine, observer: asyncpg.Connection, other: asyncpg.Connection, row: str
) -> None:
    await observer.execute("SELECT pg_advisory_lock($1)", GATE)
    async with anyio.create_task_group() as group:
        group.start_soon(purge, engine)
        await until_waiting(observer, "purge")

        async def insert() -> None:
            with pytest.raises(asyncpg.ForeignKeyViolationError):
                await other.execute(f"INSERT INTO {row}")

        group.start_soon(insert)
        await until_waiting(observer, "other")
        await observer.execute("SELECT pg_advisory_unlock($1)", GATE)

    assert await other.fetch("SELECT tenant FROM tickets UNION ALL SELECT tenant FROM clients") == [(THEIRS,)]


async def test_a_neighbours_row_that_is_not_yet_committed_is_waited_for_and_refuses_the_purge(
    engine: AsyncEngine, observer: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    async with anyio.create_task_group() as group, other.transaction():
        await other.execute("INSERT INTO tickets VALUES ($1, 1)", THEIRS)

        async def refused() -> None:
            with pytest.raises(ForeignReferenceError, match="tickets by tickets_client_fkey"):
                await purge(engine)

        group.start_soon(refused)
        await until_waiting(observer, "purge")

    assert await other.fetch("SELECT tenant, client FROM tickets") == [(THEIRS, 1)]


async def test_a_row_of_the_tenant_that_is_not_yet_committed_is_waited_for_and_deleted(
    engine: AsyncEngine, observer: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    reports: list[PurgeReport] = []
    async with anyio.create_task_group() as group, other.transaction():
        await other.execute("INSERT INTO tickets VALUES ($1, 2)", OURS)

        async def report() -> None:
            reports.append(await purge(engine))

        group.start_soon(report)
        await until_waiting(observer, "purge")

    assert reports[0].deleted_rows == {"gate": 1, "tickets": 1, "clients": 1, "tenants": 1}


async def test_the_lock_for_disabling_a_trigger_is_awaited_only_briefly(
    engine: AsyncEngine, other: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trigger_guard, "LOCK_TIMEOUT", "50ms")
    await other.execute(FORBID)
    async with other.transaction():
        await other.execute("INSERT INTO clients VALUES ($1, 4)", THEIRS)
        with pytest.raises(DBAPIError) as caught:
            await purge(engine)

    shown = to_application_error(caught.value)
    assert (shown.type, shown.non_retryable) == ("database-busy", False)
    assert await other.fetchval("SELECT count(*) FROM clients WHERE tenant = $1", OURS) == 1
    assert (await purge(engine)).deleted_rows == {"gate": 1, "clients": 1, "tenants": 1}


async def test_the_session_keeps_its_lock_timeout_otherwise(engine: AsyncEngine, other: asyncpg.Connection) -> None:
    await other.execute(FORBID)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("SET LOCAL lock_timeout = '7s'")
        report = await purge_tenant(connection, await read_catalogue(connection), OURS, management_tenant_id=None)
        assert [trigger.name for trigger in report.disabled_triggers] == ["forbids"]
        assert (await connection.exec_driver_sql("SHOW lock_timeout")).scalar() == "7s"
