"""Engines: how this service connects to PostgreSQL, directly or through PgBouncer."""

from typing import Any
from uuid import uuid4

from sqlalchemy import URL, ExceptionContext, NullPool, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_TIMEOUT = 5.0
RECYCLE_SECONDS = 1800
READ_ONLY_SQLSTATE = "25006"
NO_WRITES_TO_WORKERS = "writing to worker nodes is not currently allowed"


def create_engine(
    url: URL,
    *,
    application_name: str,
    pool_size: int,
    statement_timeout: float,
    pgbouncer: bool = False,
    pre_ping: bool = False,
) -> AsyncEngine:
    """An asyncpg engine; nothing is connected before its first use.

    `statement_timeout` is in seconds: the server enforces it where a session may be configured, and the
    driver enforces it a second later in any case, so that a lost server can't hold a step. Behind PgBouncer
    in transaction mode neither session settings nor named prepared statements survive: both are avoided, and
    pooling is left to PgBouncer. `pre_ping` tests a pooled connection before use, for callers that don't
    retry. Parameters never appear in error messages.
    """
    connect_args: dict[str, Any] = {"timeout": CONNECT_TIMEOUT, "command_timeout": statement_timeout + 1}
    pool: dict[str, Any]
    if pgbouncer:
        pool = {"poolclass": NullPool}
        connect_args |= {
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: f"__alga_tenants_{uuid4()}__",
        }
    else:
        pool = {
            "pool_size": pool_size,
            "max_overflow": 0,
            "pool_timeout": statement_timeout,
            "pool_pre_ping": pre_ping,
            "pool_recycle": RECYCLE_SECONDS,
        }
        connect_args["server_settings"] = {
            "application_name": application_name,
            "statement_timeout": str(int(statement_timeout * 1000)),
            "idle_in_transaction_session_timeout": "60000",
        }
    engine = create_async_engine(url, hide_parameters=True, connect_args=connect_args, **pool)
    event.listen(engine.sync_engine, "handle_error", _drop_read_only_connections)
    return engine


def _drop_read_only_connections(context: ExceptionContext) -> None:
    """Treat a connection to a server that only reads as lost, and with it the whole pool.

    After a failover pooled connections may lead to the standby (SQLSTATE 25006), or to a Citus coordinator that has
    not taken over yet; new ones lead to the server that writes.
    """
    error = context.original_exception
    is_read_only = getattr(error, "sqlstate", None) == READ_ONLY_SQLSTATE or NO_WRITES_TO_WORKERS in str(error)
    if is_read_only:
        context.is_disconnect = True
