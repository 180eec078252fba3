"""Applies the migrations of schema `alga_tenants`, and grants the gateway's role its rights there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, text

from activities.database.own_schema import SCHEMA
from activities.database.own_tables import OWN_METADATA
from migrations.revisions import VERSION_TABLE, admin_engine, current_revision, is_behind

# Makes concurrent migrations wait for each other, because Alembic takes no lock.
ADVISORY_LOCK = 7_301_559_218
LOCK_TIMEOUT = "10s"
ALL_RIGHTS = "SELECT, INSERT, UPDATE, DELETE"


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
            before = await current_revision(connection)
            if is_behind(before):
                await connection.run_sync(_upgrade)
            if gateway_role and gateway_role != url.username:
                await connection.run_sync(_grant, gateway_role)
            return before, await current_revision(connection)
    finally:
        await engine.dispose()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _grant(connection: Connection, role: str) -> None:
    quoted = connection.dialect.identifier_preparer.quote(role)
    connection.execute(text(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {quoted}"))
    # The gateway reads it to check whether the migrations have run.
    connection.execute(text(f"GRANT SELECT ON {VERSION_TABLE} TO {quoted}"))
    for table in OWN_METADATA.sorted_tables:
        rights = table.info.get("gateway_rights", ALL_RIGHTS)
        # The database's default privileges may have granted more when the table was created.
        connection.execute(text(f"REVOKE ALL ON {table.fullname} FROM {quoted}"))
        connection.execute(text(f"GRANT {rights} ON {table.fullname} TO {quoted}"))
