"""Compares a database's revision with those of this release, without Alembic, whose import delays every process."""

from sqlalchemy import URL, NullPool, Select, String, column, func, select, table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.database.own_schema import SCHEMA
from activities.database.tls import engine_of

# All revisions in `versions/`, oldest first.
REVISIONS = ("0.2.0b5", "0.2.0b7", "0.2.0b8", "0.2.0b9")
# No migration starts from these.
UNRELEASED_REVISIONS = frozenset(
    {"0001", "0002", "0003", "0004", "0.2.0", "0.2.0b2", "0.2.0b3", "0.2.0b4", "0.2.0b6"}
)
VERSION_TABLE = f"{SCHEMA}.alembic_version"
REVISION: Select[str] = select(column("version_num", String)).select_from(table("alembic_version", schema=SCHEMA))


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
    return is_behind(await current_revision(connection))


async def current_revision(connection: AsyncConnection) -> str | None:
    """Return the database's revision, or None if it was never migrated."""
    if await connection.scalar(select(func.to_regclass(VERSION_TABLE).is_(None))):
        return None
    revision: str | None = await connection.scalar(REVISION)
    return revision


def is_behind(revision: str | None) -> bool:
    """Return whether a database at this revision lacks a migration; raises `UnreleasedSchemaError`."""
    if revision in UNRELEASED_REVISIONS:
        raise UnreleasedSchemaError(revision)
    # An unknown revision is a newer release's, which this one can run on, because releases only add to the schema.
    return revision is None or revision in REVISIONS[:-1]
