"""Roles that write to the audit trail can only append to it. Its migration can be undone while it is unused."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

import migrations
from app.embedded.postgres import EmbeddedPostgres
from migrations.upgrade import upgrade
from tests.activities.audit.audited import append, event, verified
from tests.activities.audit.audited import audit_engine as engine_of
from tests.activities.conftest import sqlalchemy_url
from tests.support.connections import connected
from tests.support.servers.databases import NewDatabase

pytestmark = pytest.mark.anyio

REWRITES = [
    "UPDATE alga_tenants.audit_events SET caller = 'nobody'",
    "DELETE FROM alga_tenants.audit_events",
    "TRUNCATE alga_tenants.audit_events",
    "DELETE FROM alga_tenants.audit_head",
    "TRUNCATE alga_tenants.audit_head",
]
DISARMING = [
    "ALTER TABLE alga_tenants.audit_events DISABLE TRIGGER ALL",
    "DROP TRIGGER audit_events_are_kept ON alga_tenants.audit_events",
    "DROP TABLE alga_tenants.audit_events",
    "ALTER TABLE alga_tenants.audit_events OWNER TO app_user",
    "DROP FUNCTION alga_tenants.refuse_audit_change() CASCADE",
    "SET session_replication_role = replica",
]


@pytest.fixture
def gateway_url(postgres: EmbeddedPostgres, audit_url: str) -> str:
    """The URL of the database with the gateway's role."""
    return urlsplit(postgres.url)._replace(path=urlsplit(audit_url).path).geturl()


@pytest.fixture
async def gateway_role(gateway_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(gateway_url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_the_gateways_role_can_append_and_verify_events(gateway_url: str) -> None:
    engine = engine_of(gateway_url)
    await append(engine, event(1), event(2))
    report = await verified(engine)
    assert (report.breaks, report.checked) == ((), 2)
    await engine.dispose()


@pytest.mark.parametrize("statement", [*REWRITES, *DISARMING])
async def test_the_gateways_role_cannot_change_events(
    audit_engine: AsyncEngine, gateway_role: asyncpg.Connection, statement: str
) -> None:
    await append(audit_engine, event(1))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await gateway_role.execute(statement)
    assert (await verified(audit_engine)).checked == 1


@pytest.mark.parametrize("statement", REWRITES)
async def test_even_the_owner_cannot_change_events_by_mistake(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection, statement: str
) -> None:
    await append(audit_engine, event(1))
    # The mode of logical replication, in which ordinary triggers do not fire.
    await audit_database.execute("SET session_replication_role = replica")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only ever added"):
        await audit_database.execute(statement)
    assert (await verified(audit_engine)).checked == 1


async def test_default_privileges_of_the_database_are_revoked(new_database: NewDatabase) -> None:
    url = new_database()
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO app_user")
    await upgrade(sqlalchemy_url(url), gateway_role="app_user")
    for table, rights in (("audit_events", {"SELECT", "INSERT"}), ("audit_head", {"SELECT", "INSERT", "UPDATE"})):
        found = {
            right
            for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
            if await connection.fetchval(
                "SELECT has_table_privilege('app_user', $1, $2)", f"alga_tenants.{table}", right
            )
        }
        assert found == rights
    await connection.close()


def _to(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(str(migrations.__file__)).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    (command.upgrade if revision == "head" else command.downgrade)(config, revision)


async def test_an_unused_trail_is_removed_by_a_downgrade_and_created_again(audit_url: str) -> None:
    async with connected(audit_url) as connection:
        await connection.run_sync(_to, "base")
    async with connected(audit_url) as connection:
        for gone in ("to_regclass('alga_tenants.audit_events')", "to_regproc('alga_tenants.refuse_audit_change')"):
            assert (await connection.exec_driver_sql(f"SELECT {gone}")).scalar() is None
        await connection.run_sync(_to, "head")
    engine = engine_of(audit_url)
    await append(engine, event(1))
    assert (await verified(engine)).is_intact
    await engine.dispose()


async def test_a_trail_with_events_is_not_removed_by_a_downgrade(audit_url: str, audit_engine: AsyncEngine) -> None:
    await append(audit_engine, event(1))
    with pytest.raises(RuntimeError, match="archive them"):
        async with connected(audit_url) as connection:
            await connection.run_sync(_to, "base")
    assert (await verified(audit_engine)).checked == 1
