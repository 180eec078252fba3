from pathlib import Path

import anyio
import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection

import migrations
from activities.database.own_schema import SCHEMA
from activities.database.own_tables import OWN_METADATA
from migrations.revisions import REVISIONS, UNRELEASED_REVISIONS, UnreleasedSchemaError, lacks_migration, pending
from migrations.upgrade import upgrade
from tests.support.connections import connected
from tests.support.servers.databases import NewDatabase
from tests.support.tenants.rows import fingerprints

pytestmark = pytest.mark.anyio


def url_of(database: str) -> URL:
    return make_url(database).set(drivername="postgresql+asyncpg")


async def test_the_migrations_make_the_tables_that_the_code_knows(new_database: NewDatabase) -> None:
    database = new_database()
    await upgrade(url_of(database))
    async with connected(database) as connection:
        assert await connection.run_sync(_differences) == []


async def test_a_second_run_changes_nothing(new_database: NewDatabase) -> None:
    database = new_database()
    assert await pending(url_of(database))
    before, after = await upgrade(url_of(database))
    assert before is None
    assert await upgrade(url_of(database)) == (after, after)
    assert not await pending(url_of(database))


async def test_what_a_newer_release_has_migrated_will_do(new_database: NewDatabase) -> None:
    database = new_database()
    await upgrade(url_of(database))
    async with connected(database) as connection:
        await connection.execute(text("UPDATE alga_tenants.alembic_version SET version_num = 'of-the-next-release'"))
    assert not await pending(url_of(database))
    assert await upgrade(url_of(database)) == ("of-the-next-release", "of-the-next-release")


async def test_a_schema_of_an_unreleased_version_is_left_alone_and_must_be_reset(new_database: NewDatabase) -> None:
    database = new_database()
    for revision in sorted(UNRELEASED_REVISIONS):
        async with connected(database) as connection:
            await make_unreleased(connection, revision)
        remedy = f"unreleased version.*{revision}.*DROP SCHEMA alga_tenants CASCADE"
        with pytest.raises(UnreleasedSchemaError, match=remedy):
            await upgrade(url_of(database))
        with pytest.raises(UnreleasedSchemaError, match=remedy):
            await pending(url_of(database))
        async with connected(database) as connection:
            with pytest.raises(UnreleasedSchemaError):
                await lacks_migration(connection)
            assert await connection.scalar(text("SELECT version_num FROM alga_tenants.alembic_version")) == revision
            assert await connection.scalar(text("SELECT to_regclass('alga_tenants.cancellations')")) is None
            await connection.execute(text("DROP SCHEMA alga_tenants CASCADE"))
    assert await upgrade(url_of(database)) == (None, "0.2.0b9")


async def make_unreleased(connection: AsyncConnection, revision: str = "0004") -> None:
    """The beginnings of the schema that an earlier commit left."""
    await connection.execute(text("CREATE SCHEMA alga_tenants"))
    await connection.execute(text("CREATE TABLE alga_tenants.alembic_version (version_num varchar(32) PRIMARY KEY)"))
    await connection.execute(text("CREATE TABLE alga_tenants.operations (workflow_id text PRIMARY KEY)"))
    await connection.execute(
        text("INSERT INTO alga_tenants.alembic_version VALUES (:revision)"), {"revision": revision}
    )


def test_the_migrations_are_one_chain() -> None:
    scripts = list(ScriptDirectory(str(Path(migrations.__file__).parent)).walk_revisions())
    assert tuple(script.revision for script in reversed(scripts)) == REVISIONS
    assert [script.down_revision for script in scripts] == [*reversed(REVISIONS[:-1]), None]


async def test_deployments_that_migrate_at_once_wait_for_each_other(new_database: NewDatabase) -> None:
    database = new_database()
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(upgrade, url_of(database))
    assert not await pending(url_of(database))


async def test_algas_tables_are_not_touched(new_database: NewDatabase, alga_plain_template: str) -> None:
    database = new_database(alga_plain_template)
    connection = await asyncpg.connect(database)
    try:
        before = await fingerprints(connection)
        await upgrade(url_of(database))
        assert await fingerprints(connection) == before
    finally:
        await connection.close()


# Only workers send mails and change tenants, and only the command of development creates links.
NOT_WRITTEN_BY_GATEWAYS = {
    "mails",
    "suspensions",
    "suspended_rows",
    "deletions",
    "certificates",
    "exports",
    "delivery_attempts",
    "applied_changes",
    "sign_in_links",
}


async def test_the_gateways_role_gets_our_tables_and_nothing_else(new_database: NewDatabase) -> None:
    database = new_database()
    await upgrade(url_of(database), gateway_role="app_user")
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("CREATE TABLE public.algas (id integer)")
        for table in OWN_METADATA.sorted_tables:
            writes = await connection.fetchval("SELECT has_table_privilege('app_user', $1, 'INSERT')", table.fullname)
            assert writes == (table.name not in NOT_WRITTEN_BY_GATEWAYS), table.name
            assert await connection.fetchval("SELECT has_table_privilege('app_user', $1, 'SELECT')", table.fullname)
        assert not await connection.fetchval("SELECT has_table_privilege('app_user', 'public.algas', 'SELECT')")
        version = f"{SCHEMA}.alembic_version"
        assert await connection.fetchval("SELECT has_table_privilege('app_user', $1, 'SELECT')", version)
        assert not await connection.fetchval(
            "SELECT has_table_privilege('app_user', $1, 'INSERT, UPDATE, DELETE')", version
        )
    finally:
        await connection.close()


def _differences(connection: Connection) -> list[object]:
    def ours(name: str | None, kind: str, _: object) -> bool:
        return kind != "schema" or name == SCHEMA

    context = MigrationContext.configure(
        connection,
        opts={
            "include_schemas": True,
            "include_name": ours,
            "version_table_schema": SCHEMA,
            "compare_type": True,
            "compare_server_default": True,
        },
    )
    differences: list[object] = compare_metadata(context, OWN_METADATA)
    return differences
