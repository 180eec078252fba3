import asyncpg
import pytest
from temporalio.client import Client

from app.embedded.temporal import EmbeddedTemporal
from tests.support.servers.databases import NewDatabase

pytestmark = pytest.mark.anyio


async def test_a_new_database_copies_its_template_and_nothing_else(new_database: NewDatabase) -> None:
    template = new_database()
    connection = await asyncpg.connect(template)
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS value")
    await connection.close()

    copy = await asyncpg.connect(new_database(template))
    empty = await asyncpg.connect(new_database())

    assert await copy.fetchval("SELECT value FROM kept") == 1
    assert await empty.fetchval("SELECT to_regclass('kept')") is None
    await copy.close()
    await empty.close()


async def test_the_temporal_server_serves_clients(temporal: EmbeddedTemporal) -> None:
    client = await Client.connect(temporal.address)

    assert await client.service_client.check_health()
