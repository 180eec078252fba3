"""Engines: how this service connects to PostgreSQL, directly or through PgBouncer."""

from typing import Any

import asyncpg
from sqlalchemy import URL, AdaptedConnection, ExceptionContext, NullPool, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.errors import classify
from activities.database.tls import engine_of
from activities.database.transactions import probe_connection, take_scripts

CONNECT_TIMEOUT = 5.0
UNUSABLE = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
RECYCLE_SECONDS = 1800


def create_engine(
    url: URL,
    *,
    application_name: str,
    pool_size: int,
    statement_timeout: float,
    pgbouncer: bool = False,
    pre_ping: bool = False,
    connect_timeout: float = CONNECT_TIMEOUT,
) -> AsyncEngine:
    """An asyncpg engine; nothing is connected before its first use.

    `statement_timeout` is in seconds: the server enforces it where a session may be configured, and the
    driver enforces it a second later in any case, so that a lost server can't hold a step. Behind PgBouncer
    in transaction mode neither session settings nor named prepared statements survive: both are avoided, and
    pooling is left to PgBouncer. `pre_ping` tests a pooled connection before use, for callers that don't
    retry. `connect_timeout` is in seconds, too. The URL may ask for TLS by libpq's
    parameters. A statement's parameters never appear in error messages.
    """
    connect_args: dict[str, Any] = {"timeout": connect_timeout, "command_timeout": statement_timeout + 1}
    pool: dict[str, Any]
    if pgbouncer:
        pool = {"poolclass": NullPool}
        connect_args |= {
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            # Unnamed, so that the next statement replaces it: a name would outlive its transaction on the server's
            # side, where nobody could remove it any more.
            "prepared_statement_name_func": lambda: "",
        }
    else:
        pool = {
            "pool_size": pool_size,
            "max_overflow": 0,
            "pool_timeout": statement_timeout,
            "pool_recycle": RECYCLE_SECONDS,
        }
        connect_args["server_settings"] = {
            "application_name": application_name,
            "statement_timeout": str(int(statement_timeout * 1000)),
            "idle_in_transaction_session_timeout": "60000",
        }
    engine = engine_of(url, connect_args=connect_args, **pool)
    event.listen(engine.sync_engine, "handle_error", _drop_useless_connections)
    if pre_ping and not pgbouncer:
        event.listen(engine.sync_engine, "checkout", _ping)
    take_scripts(engine)
    return engine


def _ping(connection: DBAPIConnection, _record: object, _proxy: object) -> None:
    """Test a pooled connection in one round trip; SQLAlchemy's own test begins and ends a transaction around it."""
    if not isinstance(connection, AdaptedConnection):
        raise TypeError("connections are tested with asyncpg")
    try:
        connection.run_async(probe_connection)
    except UNUSABLE as error:
        # The others of the pool were lost together with this one, as likely as not.
        raise InvalidatePoolError(str(error)) from error


def _drop_useless_connections(context: ExceptionContext) -> None:
    """Treat connections that are open and of no use as lost, those in the pool, too.

    After a failover they may lead to a standby, while new ones lead to the server that writes. Where one got no
    answer in time, which for SQLAlchemy ends just that one, the others would make their users wait as long.
    """
    diagnosis = classify(context.sqlalchemy_exception or context.original_exception)
    if diagnosis is not None and diagnosis.known.drops_connections:
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = True
