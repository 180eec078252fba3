"""Transactions in few round trips: several statements travel as one script, and the last ones with the commit.

PostgreSQL takes several statements at once only without parameters. So their values are spelled in the script, in
digits, and what a server may not log is a `Secret`.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from sqlalchemy import (
    AdaptedConnection,
    ClauseElement,
    ColumnElement,
    ExecutionContext,
    Text,
    TextClause,
    UpdateBase,
    bindparam,
    event,
    func,
    literal_column,
    true,
)
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.database.errors import DATABASE_ERRORS

SEPARATOR = ";\n"

_DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_SCRIPT_OPTION = "alga_tenants_script"
_SCRIPT_DIALECT = PGDialect_asyncpg(paramstyle="pyformat")  # type: ignore[no-untyped-call]
# The test of a pooled connection, which begins the transaction if one follows.
_first_statement = ContextVar("first_statement", default="SELECT 1")


class Statement(NamedTuple):
    """A statement without a result, and the values of its parameters.

    Make `clause` once: its text is cached. Values are texts, bytes, numbers, UUIDs, times or secrets.
    """

    clause: TextClause | UpdateBase
    values: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Secret:
    """A value for `Transaction.run` that must not be part of a statement's text, because a server may log that.

    An earlier query of the transaction selects `column` and takes the value as its parameter `name`.
    """

    name: str

    @cached_property
    def column(self) -> ColumnElement[bool]:
        """Keeps the parameter on the server until the transaction ends; returns true, not the value."""
        return func.set_config(literal_column(f"'{self.setting}'"), bindparam(self.name, type_=Text), true()).is_not(
            None
        )

    @property
    def setting(self) -> str:
        """The setting that holds the value; reading one that was not set is an error."""
        return f"alga_tenants.{self.name}"


class Transaction:
    """An open transaction. `connection` is for statements that have results."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.last: list[str] = []
        """The texts that are sent with the commit."""

    async def run(self, *statements: Statement) -> None:
        """Run statements in one round trip."""
        await _send(self.connection, *map(_spelled, statements))

    def run_with_commit(self, *statements: Statement) -> None:
        """Run statements at the end, in the round trip of the commit."""
        self.last += map(_spelled, statements)


class Transactions:
    """Opens transactions on an engine that `enable_scripts` has prepared."""

    def __init__(self, engine: AsyncEngine) -> None:
        # SQLAlchemy begins and commits in round trips of their own, so its part is switched off.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """Open a transaction that commits at the end of the block, and rolls back if anything raises."""
        async with AsyncExitStack() as stack:
            before = _first_statement.set("BEGIN")
            try:
                connection = await stack.enter_async_context(self._engine.connect())
            finally:
                _first_statement.reset(before)
            try:
                if not await _has_begun(connection):
                    await _send(connection, "BEGIN")
                transaction = Transaction(connection)
                yield transaction
                await _send(connection, *transaction.last, "COMMIT")
            except BaseException:
                await _roll_back(connection)
                raise


def enable_scripts(engine: AsyncEngine, *, pre_ping: bool) -> None:
    """Prepare an engine for `Transactions`; `pre_ping` tests pooled connections before use.

    The test takes one round trip, because SQLAlchemy's own one opens and ends a transaction around it.
    """
    event.listen(engine.sync_engine, "do_execute", _run_script)
    if pre_ping:
        event.listen(engine.sync_engine, "checkout", _ping)


def _ping(connection: DBAPIConnection, _record: object, _proxy: object) -> None:
    try:
        _execute(connection, _first_statement.get())
    except (*_DRIVER_ERRORS, OSError, TimeoutError) as error:
        # The other connections of the pool were probably lost, too.
        raise InvalidatePoolError(str(error)) from error


def _run_script(_cursor: object, statement: str, _parameters: object, context: ExecutionContext) -> bool:
    """Send a script as it is; return False for other statements, which SQLAlchemy then prepares and runs."""
    if not context.execution_options.get(_SCRIPT_OPTION):
        return False
    try:
        _execute(context.root_connection.connection.dbapi_connection, statement)
    except _DRIVER_ERRORS as error:
        # As SQLAlchemy's own cursor does, so that it sees whether the connection was lost.
        raise context.dialect.loaded_dbapi.Error(str(error), error) from error
    return True


def _execute(connection: object, script: str) -> None:
    if not isinstance(connection, AdaptedConnection):
        raise TypeError("scripts need a connection of asyncpg")
    connection.run_async(lambda driver: driver.execute(script))


async def _has_begun(connection: AsyncConnection) -> bool:
    driver = (await connection.get_raw_connection()).driver_connection
    if not isinstance(driver, asyncpg.Connection):
        raise TypeError("transactions need a connection of asyncpg")
    return bool(driver.is_in_transaction())


async def _send(connection: AsyncConnection, *statements: str) -> None:
    await connection.exec_driver_sql(SEPARATOR.join(statements), execution_options={_SCRIPT_OPTION: True})


async def _roll_back(connection: AsyncConnection) -> None:
    """Prevent an open transaction from returning to the pool."""
    if connection.invalidated:
        return
    try:
        await _send(connection, "ROLLBACK")
    except DATABASE_ERRORS as error:
        await connection.invalidate(error)


def _spelled(statement: Statement) -> str:
    return _template(statement.clause) % {name: _literal(value) for name, value in statement.values.items()}


@lru_cache(maxsize=256)
def _template(clause: ClauseElement) -> str:
    return str(clause.compile(dialect=_SCRIPT_DIALECT))


def _literal(value: object) -> str:
    """Return a value as an SQL expression. Texts are spelled in hexadecimal digits, whatever they hold."""
    match value:
        case Secret():
            return f"current_setting('{value.setting}')"
        case bool() | int():
            return str(value).lower()
        case UUID():
            # A constant, so that Citus sees which shard the statement is about.
            return f"'{value}'"
        case datetime():
            return f"'{value.isoformat()}'"
        case bytes():
            return f"decode('{value.hex()}', 'hex')"
        case str():
            # The encoding's name brings collation C along, under which no index of a text column can be used.
            return f"(convert_from({_literal(value.encode())}, 'UTF8') COLLATE \"default\")"
    raise TypeError(f"a {type(value).__name__} can't be a value of a script")
