from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from sqlalchemy import make_url

from app.embedded.processes.blocking import run_blocking
from migrations.upgrade import upgrade
from tests.app.worker.deliveries.outbox import Outbox
from tests.support.engines import engine_on
from tests.support.servers.databases import NewDatabase
from tests.support.servers.receiver import Receiver


@pytest.fixture(scope="session")
def own_tables(new_database: NewDatabase) -> str:
    """Our own tables alone, for tests to copy."""
    url = new_database()
    run_blocking(upgrade(make_url(url).set(drivername="postgresql+asyncpg")))
    return url


@pytest.fixture
async def outbox(new_database: NewDatabase, own_tables: str) -> AsyncIterator[Outbox]:
    database = new_database(own_tables)
    async with engine_on(database) as engine, asyncpg.create_pool(database, min_size=1, max_size=4) as pool:
        yield Outbox(database, pool, engine)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def frequent_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the tests waiting for the next look for due deliveries."""
    monkeypatch.setattr("app.worker.deliveries.POLL_SECONDS", 0.05)
