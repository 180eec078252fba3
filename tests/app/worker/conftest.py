from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import pytest

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.temporal import EmbeddedTemporal
from tests.app.worker.surroundings import Surroundings
from tests.support.servers.databases import NewDatabase
from tests.support.servers.proxy import Proxy


@pytest.fixture
def empty_database(new_database: NewDatabase) -> str:
    return new_database()


@pytest.fixture
async def surroundings(
    empty_database: str, postgres: EmbeddedPostgres, temporal: EmbeddedTemporal, tmp_path: Path
) -> AsyncIterator[Surroundings]:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Proxy(urlsplit(postgres.admin_url).port or 0))
        server = await stack.enter_async_context(Proxy(int(temporal.address.rpartition(":")[2])))
        made = Surroundings(empty_database, database, server, tmp_path)
        yield made
        for process in made.started:
            await anyio.to_thread.run_sync(process.child.stop)
