"""Applies the migrations of schema `alga_tenants`, and gives the gateway's role its rights there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, NullPool, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.database.own_tables import SCHEMA, own_metadata
from activities.database.tls import engine_of

# Alembic takes none of its own: two deployments that migrate at once must wait for each other.
ADVISORY_LOCK = 7_301_559_218
LOCK_TIMEOUT = "10s"
ALL_RIGHTS = "SELECT, INSERT, UPDATE, DELETE"
# No migration leads on from these.
UNRELEASED_REVISIONS = frozenset({"0001", "0002", "0003", "0004"})


class UnreleasedSchemaError(Exception):
    """Schema `alga_tenants` is of an unreleased version, whose data no release can read."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"schema {SCHEMA} is of an unreleased version (revision {revision}), which can't be upgraded; "
            f"to reset it, losing its data, run `DROP SCHEMA {SCHEMA} CASCADE` and then `alga-tenants migrate`"
        )
        self.revision = revision


def admin_engine(url: URL) -> AsyncEngine:
    """An engine for one connection that changes the schema."""
    return engine_of(url, poolclass=NullPool)


async def upgrade(url: URL, *, gateway_role: str | None = None) -> tuple[str | None, str | None]:
    """Bring schema `alga_tenants` up to date in one transaction; returns the revisions before and after.

    `gateway_role` is the role of `DATABASE_URL`; where it is another than that of the given URL, it is granted
    the rows of our own tables. Nothing outside the schema is touched. Running it again changes nothing, and
    neither does running it where a newer release has been.

    Raises `UnreleasedSchemaError` if the schema must be reset.
    """
    engine = admin_engine(url)
    try:
        async with engine.begin() as connection:
            # A migration that waits for a lock makes everybody behind it wait too.
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
    """The same on a connection of any role that `upgrade` has granted its rights."""
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
    # One that is not known here is a newer release's. That only adds, so that this one runs on after a rollback.
    return revision is None or revision in {
        script.revision for script in scripts.walk_revisions() if script.revision != scripts.get_current_head()
    }


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _grant(connection: Connection, role: str) -> None:
    quoted = connection.dialect.identifier_preparer.quote(role)
    connection.execute(text(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {quoted}"))
    # By which the gateway tells whether the migrations have run.
    connection.execute(text(f"GRANT SELECT ON {SCHEMA}.alembic_version TO {quoted}"))
    for table in own_metadata.sorted_tables:
        rights = table.info.get("gateway_rights", ALL_RIGHTS)
        # A database's default privileges may have given more when the table was made.
        connection.execute(text(f"REVOKE ALL ON {table.fullname} FROM {quoted}"))
        connection.execute(text(f"GRANT {rights} ON {table.fullname} TO {quoted}"))
