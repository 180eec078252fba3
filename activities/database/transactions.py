"""Transactions in few round trips: what needs no parameters travels as one script, and the commit with it.

PostgreSQL takes several statements at once only without parameters. So what they need is put into settings of the
transaction by a statement that has parameters, or where none comes before, spelled in digits; no value is ever part
of their text as it is.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar

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

from activities.database.errors import DATABASE_ERRORS

SCRIPT = "alga_tenants_script"
"""The execution option of what is sent as a script."""

SEPARATOR = ";\n"
PREFIX = "alga_tenants."
TEST = "SELECT 1"
BEGIN = "BEGIN"
DIALECT = make_url("postgresql+asyncpg://").get_dialect()()


# What a pooled connection is tested with, so that the test of one that is to begin a transaction does so.
_first_statement = ContextVar("first_statement", default=TEST)


class Transaction:
    """An open transaction; `connection` is for statements that have parameters or results."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self._last: list[str] = []

    async def run(self, *statements: str) -> None:
        """Run statements now, in one round trip; they have neither parameters nor results."""
        await _send(self.connection, *statements)

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
        async with AsyncExitStack() as stack:
            before = _first_statement.set(BEGIN)
            try:
                connection = await stack.enter_async_context(self._engine.connect())
            finally:
                _first_statement.reset(before)
            try:
                if not await _has_begun(connection):
                    await _send(connection, BEGIN)
                opened = Transaction(connection)
                yield opened
                await opened.commit()
            except BaseException:
                await _undo(connection)
                raise

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which each statement is a transaction of its own."""
        async with self._engine.connect() as connection:
            yield connection


async def probe_connection(driver: asyncpg.Connection) -> None:
    """See in one round trip whether a pooled connection is of use, and begin the transaction where one follows."""
    await driver.execute(_first_statement.get())


def set_setting(name: str, value: ColumnElement[str]) -> ColumnElement[bool]:
    """An expression that makes a value known to the rest of the transaction, for a statement that has parameters."""
    # Not the value itself, which would come back over the network.
    return func.set_config(literal_column(f"'{PREFIX}{name}'"), value, true()).is_not(None)


def setting(name: str) -> ColumnElement[str]:
    """The value, for a script, whose statement fails where there is none."""
    return literal_column(f"current_setting('{PREFIX}{name}')", Text)


def script_literal(value: bytes | str) -> str:
    """A value as an expression of a script; whatever it holds, it is spelled in the digits of hexadecimal numbers."""
    if isinstance(value, str):
        # The name of the encoding would bring collation C along, under which no index of a text column can be used.
        return f"(convert_from({script_literal(value.encode())}, 'UTF8') COLLATE \"default\")"
    return f"decode('{value.hex()}', 'hex')"


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


async def _has_begun(connection: AsyncConnection) -> bool:
    driver = (await connection.get_raw_connection()).driver_connection
    if not isinstance(driver, asyncpg.Connection):
        raise TypeError("transactions need a connection of asyncpg")
    return bool(driver.is_in_transaction())


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
