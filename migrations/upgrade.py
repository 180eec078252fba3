"""Applies the migrations of schema `alga_tenants`, and grants the gateway's role its rights there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, NullPool, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.database.own_tables import SCHEMA, own_metadata
from activities.database.tls import engine_of

# Makes concurrent migrations wait for each other, because Alembic takes no lock.
ADVISORY_LOCK = 7_301_559_218
LOCK_TIMEOUT = "10s"
ALL_RIGHTS = "SELECT, INSERT, UPDATE, DELETE"
# No migration starts from these.
UNRELEASED_REVISIONS = frozenset({"0001", "0002", "0003", "0004", "0.2.0"})


class UnreleasedSchemaError(Exception):
    """Schema `alga_tenants` is of an unreleased version, whose data no release can read."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"schema {SCHEMA} is of an unreleased version (revision {revision}), which can't be upgraded; "
            f"to reset it, losing its data, run `DROP SCHEMA {SCHEMA} CASCADE` and then `alga-tenants migrate`"
        )
        self.revision = revision


def admin_engine(url: URL) -> AsyncEngine:
    """Return an engine for one connection that changes the schema."""
    return engine_of(url, poolclass=NullPool)


async def upgrade(url: URL, *, gateway_role: str | None = None) -> tuple[str | None, str | None]:
    """Upgrade schema `alga_tenants` in one transaction; returns the revisions before and after.

    If `gateway_role`, the role of `DATABASE_URL`, is not that of the given URL, it is granted rights on our own
    tables. Nothing outside the schema is changed. A second run changes nothing, nor does one after a newer release.
    Raises `UnreleasedSchemaError` if the schema must be reset.
    """
    engine = admin_engine(url)
    try:
        async with engine.begin() as connection:
            # While a migration waits for a lock, all later statements on the table wait, too.
            await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
            await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
            before = await connection.run_sync(_revision)
            if _is_behind(before):
                await connection.run_sync(_upgrade)
            if gateway_role and gateway_role != url.username:
                await connection.run_sync(_grant, gateway_role)
            return before, await connection.run_sync(_revision)
    finally:
        await engine.dispose()


async def pending(url: URL) -> bool:
    """Return whether the database lacks a migration of this release; raises `UnreleasedSchemaError`."""
    engine = admin_engine(url)
    try:
        async with engine.connect() as connection:
            return await lacks_migration(connection)
    finally:
        await engine.dispose()


async def lacks_migration(connection: AsyncConnection) -> bool:
    """Return the same as `pending`, on a connection of any role that `upgrade` has granted its rights."""
    return _is_behind(await connection.run_sync(_revision))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config


def _revision(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA})
    return context.get_current_revision()


def _is_behind(revision: str | None) -> bool:
    if revision in UNRELEASED_REVISIONS:
        raise UnreleasedSchemaError(revision)
    scripts = ScriptDirectory.from_config(_config())
    # An unknown revision is a newer release's, which this one can run on, because releases only add to the schema.
    known = {script.revision for script in scripts.walk_revisions()}
    return revision is None or revision in known - {scripts.get_current_head()}


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _grant(connection: Connection, role: str) -> None:
    quoted = connection.dialect.identifier_preparer.quote(role)
    connection.execute(text(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {quoted}"))
    # The gateway reads it to check whether the migrations have run.
    connection.execute(text(f"GRANT SELECT ON {SCHEMA}.alembic_version TO {quoted}"))
    for table in own_metadata.sorted_tables:
        rights = table.info.get("gateway_rights", ALL_RIGHTS)
        # The database's default privileges may have granted more when the table was created.
        connection.execute(text(f"REVOKE ALL ON {table.fullname} FROM {quoted}"))
        connection.execute(text(f"GRANT {rights} ON {table.fullname} TO {quoted}"))
