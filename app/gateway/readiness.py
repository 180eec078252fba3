"""What the gateway needs to serve: the database with our schema in it, and Temporal."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.own_tables import operations
from app.gateway.database import DatabaseUnavailableError, database_errors
from app.probes import CheckFailedError
from app.temporal.errors import TemporalUnavailableError
from app.temporal.operations import OperationsPort
from migrations.upgrade import lacks_migration

# Asks for rights, too, and fails where the table is not there.
OWN_SCHEMA = text(f"SELECT has_table_privilege('{operations.fullname}', 'SELECT, INSERT')")


class Readiness:
    """The gateway's readiness checks."""

    def __init__(self, engine: AsyncEngine, temporal: OperationsPort) -> None:
        self._engine = engine
        self._temporal = temporal

    async def check_database(self) -> None:
        """Raise `CheckFailedError` unless our tables are there and open to us."""
        try:
            with database_errors():
                async with self._engine.connect() as connection:
                    await connection.execute(OWN_SCHEMA)
        except DatabaseUnavailableError as error:
            raise CheckFailedError(str(error)) from None

    async def check_migrations(self) -> None:
        """Raise `CheckFailedError` unless this release's migrations have run."""
        try:
            with database_errors():
                async with self._engine.connect() as connection:
                    lacks = await lacks_migration(connection)
        except DatabaseUnavailableError as error:
            raise CheckFailedError(str(error)) from None
        if lacks:
            raise CheckFailedError("schema alga_tenants is not up to date; run `alga-tenants migrate`")

    async def check_temporal(self) -> None:
        """Raise `CheckFailedError` unless Temporal serves."""
        try:
            await self._temporal.check()
        except TemporalUnavailableError:
            raise CheckFailedError("does not answer") from None
