from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.engines import create_engine


@asynccontextmanager
async def engine_on(url: str) -> AsyncIterator[AsyncEngine]:
    """Return an engine as the worker has it."""
    target = make_url(url).set(drivername="postgresql+asyncpg")
    engine = create_engine(target, application_name="tests", pool_size=2, statement_timeout=8)
    try:
        yield engine
    finally:
        await engine.dispose()
