"""Engines: how this service connects to PostgreSQL, directly or through PgBouncer."""

from typing import Any

from sqlalchemy import URL, ExceptionContext, NullPool, event
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.errors import classify
from activities.database.tls import engine_of
from activities.database.transactions import enable_scripts

CONNECT_TIMEOUT = 5.0
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
    """Return an asyncpg engine, which connects at its first use and shows no parameters in its errors.

    The server enforces `statement_timeout` (seconds) if a session may be configured, and the driver enforces it one
    second later in any case, so that a lost server can't hold a step. Behind PgBouncer in transaction mode neither
    session settings nor named prepared statements survive: both are avoided, and PgBouncer does the pooling.
    `pre_ping` tests pooled connections before use, for callers that don't retry. The URL may ask for TLS by libpq's
    parameters.
    """
    connect_args: dict[str, Any] = {"timeout": connect_timeout, "command_timeout": statement_timeout + 1}
    pool: dict[str, Any]
    if pgbouncer:
        pool = {"poolclass": NullPool}
        connect_args |= {
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            # A named statement would outlive its transaction on the server.
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
    enable_scripts(engine, pre_ping=pre_ping and not pgbouncer)
    return engine


def _drop_useless_connections(context: ExceptionContext) -> None:
    """Replace the pool's connections if they are open but useless.

    After a failover they may lead to a standby, while new ones lead to the new primary. After a timeout, for which
    SQLAlchemy ends that one connection, the others would make their users wait as long.
    """
    diagnosis = classify(context.sqlalchemy_exception or context.original_exception)
    if diagnosis is not None and diagnosis.known.drops_connections:
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = True
