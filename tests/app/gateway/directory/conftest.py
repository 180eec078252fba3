"""The gateway's directory on each schema of Alga's tables. It depends on no key, so not on those for Citus."""

from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.blocking import run_blocking
from app.settings import Settings
from migrations.upgrade import upgrade
from tests.app.gateway.conftest import as_gateway, create_key
from tests.app.gateway.server import RunningGateway
from tests.support.servers.databases import NewDatabase


@pytest.fixture(scope="session", params=["development", "plain"])
def shaped_settings(
    request: pytest.FixtureRequest, settings: Settings, new_database: NewDatabase, postgres: EmbeddedPostgres
) -> Settings:
    """Return settings with a database, for each schema of Alga's tables."""
    names = {"development": "migrated_template", "plain": "alga_plain_template"}
    url = new_database(request.getfixturevalue(names[request.param]))
    run_blocking(grant(url, str(urlsplit(postgres.url).username)))
    changes = {"database_url": SecretStr(as_gateway(postgres, url)), "admin_database_url": SecretStr(url)}
    return settings.model_copy(update=changes)


async def grant(url: str, role: str) -> None:
    """Grant the gateway's role the privileges that it has in an installation."""
    await upgrade(make_url(url).set(drivername="postgresql+asyncpg"), gateway_role=role)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def shaped_gateway(shaped_settings: Settings) -> Iterator[RunningGateway]:
    with RunningGateway(shaped_settings, run_blocking(create_key(shaped_settings))) as server:
        yield server


@pytest.fixture
async def shaped_http(shaped_gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with shaped_gateway.client() as client:
        yield client


@pytest.fixture
async def shaped_database(shaped_settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(shaped_settings.admin_database_url.get_secret_value())
    try:
        yield connection
    finally:
        await connection.close()
