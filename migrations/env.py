"""Alembic's environment: our own schema only, on the caller's connection or one to `ADMIN_DATABASE_URL`."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, make_url

from activities.database.own_schema import SCHEMA
from activities.database.own_tables import OWN_METADATA
from activities.database.tls import DatabaseTls
from migrations.revisions import admin_engine


def _only_ours(name: str | None, kind: str, parents: object) -> bool:  # noqa: ARG001 - Alembic's signature
    return kind != "schema" or name == SCHEMA


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=OWN_METADATA,
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=_only_ours,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


async def _connect_and_run() -> None:
    url = make_url(os.environ["ADMIN_DATABASE_URL"]).set(drivername="postgresql+asyncpg")
    engine = admin_engine(_tls().add_to(url))
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_run)
    finally:
        await engine.dispose()


def _tls() -> DatabaseTls:
    names = {"sslmode": "MODE", "sslrootcert": "CA_FILE", "sslcert": "CERT_FILE", "sslkey": "KEY_FILE"}
    return DatabaseTls(**{parameter: os.environ.get(f"DATABASE_TLS_{name}") for parameter, name in names.items()})


if (given := context.config.attributes.get("connection")) is not None:
    _run(given)
else:
    asyncio.run(_connect_and_run())
