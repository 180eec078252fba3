"""Alga's side of the database: all tables and triggers if their description is available, else development tables."""

import asyncpg
from sqlalchemy import make_url

from activities.alga.development import create_development_tables
from migrations.revisions import admin_engine
from tests.support.alga import ALGA, build_template
from tests.support.alga_triggers import triggers


async def make_alga_tables(admin_url: str, role: str) -> int:
    """Create the tables with the rows that a new tenant reads, grant the role its rights, and return their number."""
    statements: list[str] = []
    if ALGA.is_dir():
        build_template("plain", lambda template=None: admin_url)  # noqa: ARG005 - no database but this one
        statements = triggers("plain")
    engine = admin_engine(make_url(admin_url).set(drivername="postgresql+asyncpg"))
    try:
        async with engine.begin() as connection:
            await create_development_tables(connection)
    finally:
        await engine.dispose()
    connection = await asyncpg.connect(admin_url)
    try:
        for statement in statements:
            await connection.execute(statement)
        await connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
        tables: int = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    return tables
