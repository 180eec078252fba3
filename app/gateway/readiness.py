"""Readiness checks of the gateway: migrations, database, Temporal and its workers."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.errors import ACCESS_REFUSED, SCHEMA_INCOMPLETE
from activities.database.own_tables import operations
from app.database import DatabaseUnavailableError, database_errors
from app.probes import CheckFailedError, NotStartedError
from app.temporal.errors import TemporalUnavailableError
from app.temporal.operations import TemporalOperations
from app.temporal.task_queue import TaskQueue
from migrations.revisions import UnreleasedSchemaError, lacks_migration

# Fails if the table is missing or the privileges are.
OWN_SCHEMA = text(f"SELECT has_table_privilege('{operations.fullname}', 'SELECT, INSERT')")
# Errors of a database that responds, but is not migrated.
NOT_MIGRATED = frozenset({ACCESS_REFUSED, SCHEMA_INCOMPLETE})


class Readiness:
    """The gateway's readiness checks."""

    def __init__(self, engine: AsyncEngine, temporal: TemporalOperations, queue: TaskQueue) -> None:
        self._engine = engine
        self._temporal = temporal
        self._queue = queue
        self._is_migrated = False

    async def check_migrations(self) -> None:
        """Raise `NotStartedError` if a migration of this release is missing. Success is remembered.

        If the database is unavailable, `CheckFailedError` is raised: the gateway may serve.
        """
        if self._is_migrated:
            return
        try:
            with database_errors():
                async with self._engine.connect() as connection:
                    is_outdated = await lacks_migration(connection)
        except UnreleasedSchemaError as error:
            raise NotStartedError(str(error)) from None
        except DatabaseUnavailableError as error:
            if error.code in NOT_MIGRATED:
                raise NotStartedError(str(error)) from None
            raise CheckFailedError("unknown while the database is unavailable") from None
        if is_outdated:
            raise NotStartedError("schema alga_tenants is not up to date; run `alga-tenants migrate`")
        self._is_migrated = True

    async def check_database(self) -> None:
        """Raise `CheckFailedError` unless our tables are accessible."""
        try:
            with database_errors():
                async with self._engine.connect() as connection:
                    await connection.execute(OWN_SCHEMA)
        except DatabaseUnavailableError as error:
            raise CheckFailedError(str(error)) from None

    async def check_temporal(self) -> None:
        """Raise `CheckFailedError` unless Temporal responds."""
        try:
            await self._temporal.check()
        except TemporalUnavailableError:
            raise CheckFailedError("does not respond") from None

    async def check_task_queue(self) -> None:
        """Raise `CheckFailedError` if no worker of ours polls the task queue, so that operations stay queued."""
        try:
            found = await self._queue.workers()
        except TemporalUnavailableError as error:
            raise CheckFailedError(str(error)) from None
        if not found.own:
            others = ", except those of another service" if found.foreign else ""
            raise CheckFailedError(f"no worker polls task queue {self._queue.name}{others}")
