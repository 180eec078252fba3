"""The whole service inside the test process, on all of Alga's tables if they are known."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, event, make_url

from activities.alga.development import create_development_tables
from activities.database.transactions import SEPARATOR
from app.database import worker_engine
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.blocking import run_blocking
from app.embedded.temporal import EmbeddedTemporal
from app.settings import Settings
from app.temporal.client import connect
from app.worker.factory import create_worker
from migrations.revisions import admin_engine
from migrations.upgrade import upgrade
from tests.app.gateway.server import RunningGateway
from tests.support.alga import ALGA
from tests.support.api_keys import open_keys
from tests.support.servers.databases import NewDatabase


@dataclass
class Statements:
    """The statements that any engine of this process sends; scripts are split."""

    texts: dict[str, None] = field(default_factory=dict)

    def record(self, _connection: Any, _cursor: Any, text: str, *_rest: Any) -> None:
        self.texts |= dict.fromkeys(text.split(SEPARATOR))


@pytest.fixture(scope="session")
def settings(
    request: pytest.FixtureRequest, new_database: NewDatabase, postgres: EmbeddedPostgres, temporal: EmbeddedTemporal
) -> Settings:
    admin_url = new_database(request.getfixturevalue("alga_plain_template") if ALGA.is_dir() else None)
    run_blocking(_prepare(admin_url, str(urlsplit(postgres.url).username)))
    return Settings(
        database_url=SecretStr(urlsplit(postgres.url)._replace(path=urlsplit(admin_url).path).geturl()),
        admin_database_url=SecretStr(admin_url),
        temporal_address=temporal.address,
        temporal_task_queue=f"bench-{uuid4()}",
        gateway_host="127.0.0.1",
        gateway_port=0,
        nextauth_secret=SecretStr("test-nextauth-secret"),
    )


@pytest.fixture(scope="session")
def api_key(settings: Settings) -> str:
    async def create() -> str:
        async with open_keys(settings) as keys:
            return (await keys.create()).key

    return run_blocking(create())


@pytest.fixture(scope="session")
def gateway(settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    with RunningGateway(settings, api_key) as server:
        yield server


@pytest.fixture(scope="module")
async def worker(settings: Settings) -> AsyncIterator[None]:
    """A worker that polls while the module's tests run."""
    engine = worker_engine(settings)
    async with create_worker(settings, await connect(settings), engine):
        yield
    await engine.dispose()


@pytest.fixture(scope="module")
def statements() -> Iterator[Statements]:
    recorded = Statements()
    event.listen(Engine, "before_cursor_execute", recorded.record)
    yield recorded
    event.remove(Engine, "before_cursor_execute", recorded.record)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(settings.admin_database_url.get_secret_value())
    try:
        yield connection
    finally:
        await connection.close()


async def _prepare(admin_url: str, role: str) -> None:
    target = make_url(admin_url).set(drivername="postgresql+asyncpg")
    await upgrade(target, gateway_role=role)
    engine = admin_engine(target)
    async with engine.begin() as connection:
        await create_development_tables(connection)
        await connection.exec_driver_sql(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
        )
    await engine.dispose()
