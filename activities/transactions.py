"""Transactions in few round trips: what needs no parameters travels as one script, and the commit with it.

PostgreSQL takes several statements at once only without parameters. So what they need is put into settings of the
transaction by a statement that has parameters, and no value is ever part of their text.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy import (
    AdaptedConnection,
    ClauseElement,
    ColumnElement,
    ExecutionContext,
    Text,
    event,
    func,
    literal_column,
    make_url,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.database_errors import DATABASE_ERRORS

SCRIPT = "alga_tenants_script"
"""The execution option of what is sent as a script."""

SEPARATOR = ";\n"
PREFIX = "alga_tenants."
DIALECT = make_url("postgresql+asyncpg://").get_dialect()()


class Transaction:
    """An open transaction; `connection` is for statements that have parameters or results."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self._last: list[str] = []

    def end_with(self, *statements: str) -> None:
        """Run these in the round trip of the commit; they have neither parameters nor results."""
        self._last += statements

    async def commit(self) -> None:
        """Run what was left for the end, and commit."""
        await _send(self.connection, *self._last, "COMMIT")


class Transactions:
    """Transactions on an engine of `create_engine`, each in as few round trips as it can be."""

    def __init__(self, engine: AsyncEngine) -> None:
        # SQLAlchemy begins and commits in round trips of their own, so its part is switched off.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """A transaction that is committed at the end of the block, and undone where anything raises."""
        async with self._engine.connect() as connection:
            try:
                await _send(connection, "BEGIN")
                opened = Transaction(connection)
                yield opened
                await opened.commit()
            except BaseException:
                await _undo(connection)
                raise


def set_setting(name: str, value: ColumnElement[str]) -> ColumnElement[bool]:
    """An expression that makes a value known to the rest of the transaction, for a statement that has parameters."""
    # Not the value itself, which would come back over the network.
    return func.set_config(literal_column(f"'{PREFIX}{name}'"), value, true()).is_not(None)


def setting(name: str) -> ColumnElement[str]:
    """The value, for a script, whose statement fails where there is none."""
    return literal_column(f"current_setting('{PREFIX}{name}')", Text)


def script_text(statement: ClauseElement) -> str:
    """A statement without parameters as it goes into a script."""
    compiled = statement.compile(dialect=DIALECT)
    if compiled.params:
        raise ValueError("a statement of a script can't have parameters")
    return str(compiled)


def take_scripts(engine: AsyncEngine) -> None:
    """Let statements with the option `SCRIPT` be sent as they are, through all of SQLAlchemy's hooks."""
    event.listen(engine.sync_engine, "do_execute", _run_script)


def _run_script(_cursor: object, statement: str, _parameters: object, context: ExecutionContext) -> bool:
    """Whether the statement was a script, which is done then; the driver prepares all else, each alone."""
    if not context.execution_options.get(SCRIPT):
        return False
    connection = context.root_connection.connection.dbapi_connection
    if not isinstance(connection, AdaptedConnection):
        raise TypeError("scripts need a connection of asyncpg")
    try:
        connection.run_async(lambda driver: driver.execute(statement))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        # As SQLAlchemy's own cursor does, so that it sees whether the connection was lost.
        raise _dbapi_error(context, error) from error
    return True


def _dbapi_error(context: ExecutionContext, error: Exception) -> Exception:
    made: Exception = context.dialect.loaded_dbapi.Error(str(error), error)
    return made


async def _send(connection: AsyncConnection, *statements: str) -> None:
    await connection.exec_driver_sql(SEPARATOR.join(statements), execution_options={SCRIPT: True})


async def _undo(connection: AsyncConnection) -> None:
    """Let no open transaction go back to the pool."""
    if connection.invalidated:
        return
    try:
        await _send(connection, "ROLLBACK")
    except DATABASE_ERRORS as error:
        await connection.invalidate(error)
