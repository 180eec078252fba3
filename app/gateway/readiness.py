"""What the gateway needs to serve: the database with our schema in it, and Temporal."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.own_tables import operations
from app.gateway.database import DatabaseUnavailableError, database_errors
from app.probes import Check, CheckFailedError
from app.temporal.operations import OperationsPort, TemporalUnavailableError

# Asks for rights, too, and fails where the table is not there.
OWN_SCHEMA = text(f"SELECT has_table_privilege('{operations.fullname}', 'SELECT, INSERT')")


class Readiness:
    """The gateway's checks."""

    def __init__(self, engine: AsyncEngine, temporal: OperationsPort) -> None:
        self._engine = engine
        self._temporal = temporal

    @property
    def checks(self) -> Mapping[str, Check]:
        """The checks by name."""
        return {"database": self._database, "temporal": self._temporal_serves}

    async def _database(self) -> None:
        try:
            with database_errors():
                async with self._engine.connect() as connection:
                    await connection.execute(OWN_SCHEMA)
        except DatabaseUnavailableError as error:
            raise CheckFailedError(str(error)) from None

    async def _temporal_serves(self) -> None:
        try:
            await self._temporal.check()
        except TemporalUnavailableError:
            raise CheckFailedError("does not answer") from None
