"""Engines: how this service connects to PostgreSQL, directly or through PgBouncer."""

from uuid import uuid4

from sqlalchemy import URL, NullPool
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_TIMEOUT = 5.0


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
    common = {"timeout": CONNECT_TIMEOUT, "command_timeout": statement_timeout + 1}
    if pgbouncer:
        return create_async_engine(
            url,
            poolclass=NullPool,
            hide_parameters=True,
            connect_args={
                **common,
                "statement_cache_size": 0,
                "prepared_statement_cache_size": 0,
                "prepared_statement_name_func": lambda: f"__alga_tenants_{uuid4()}__",
            },
        )
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=statement_timeout,
        pool_pre_ping=pre_ping,
        pool_recycle=1800,
        hide_parameters=True,
        connect_args={
            **common,
            "server_settings": {
                "application_name": application_name,
                "statement_timeout": str(int(statement_timeout * 1000)),
                "idle_in_transaction_session_timeout": "60000",
            },
        },
    )
