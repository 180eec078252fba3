"""A gateway on a migrated database and a Temporal without a worker, so that operations do not progress."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from argon2 import PasswordHasher
from pydantic import SecretStr
from sqlalchemy import make_url
from temporalio.client import Client

from activities.alga.development import create_development_tables
from app.auth.keys import hashes
from app.database import worker_engine
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.blocking import run_blocking
from app.embedded.temporal import EmbeddedTemporal
from app.gateway.directory import changes
from app.settings import Settings
from app.temporal.client import connect
from app.worker.factory import NO_EXTENSIONS, Extensions, create_worker
from migrations.revisions import admin_engine
from migrations.upgrade import upgrade
from tests.app.gateway.process import GatewayProcess
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys, open_keys
from tests.support.servers.databases import NewDatabase

SECRET = "test-nextauth-secret"
MANAGEMENT_TENANT = UUID("9f3c1d52-6c0b-4c8e-8a64-3f0d1b6a7e20")

Start = Callable[..., GatewayProcess]


@pytest.fixture(scope="package", autouse=True)
def quick_hashes() -> Iterator[None]:
    """Hash the secrets of keys with little work, except in tests of how long that takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashes, "HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        yield


@pytest.fixture(scope="session")
def migrated_template(new_database: NewDatabase, postgres: EmbeddedPostgres) -> str:
    """Return the admin URL of a template database with our tables and Alga's, and rights for the gateway."""
    url = new_database()
    run_blocking(_prepare(url, str(urlsplit(postgres.url).username)))
    return url


@pytest.fixture(scope="session")
def gateway_database(new_database: NewDatabase, migrated_template: str) -> str:
    """Return the admin URL of the database of `gateway`."""
    return new_database(migrated_template)


@pytest.fixture(scope="session")
def settings(gateway_database: str, postgres: EmbeddedPostgres, temporal: EmbeddedTemporal) -> Settings:
    return Settings(
        database_url=SecretStr(as_gateway(postgres, gateway_database)),
        admin_database_url=SecretStr(gateway_database),
        temporal_address=temporal.address,
        gateway_host="127.0.0.1",
        gateway_port=0,
        temporal_task_queue=f"nobody-polls-{uuid4()}",
        nextauth_secret=SecretStr(SECRET),
        creations_per_hour=0,
        master_billing_tenant_id=MANAGEMENT_TENANT,
    )


@pytest.fixture(scope="session")
def api_key(settings: Settings) -> str:
    return run_blocking(create_key(settings))


@pytest.fixture(scope="session")
def gateway(settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    with RunningGateway(settings, api_key) as server:
        yield server


@pytest.fixture
def start(settings: Settings, api_key: str, tmp_path: Path) -> Iterator[Start]:
    """Start a gateway process with additional environment variables."""
    started: list[GatewayProcess] = []

    def start(**environment: str) -> GatewayProcess:
        log_file = tmp_path / f"gateway-{len(started)}.log"
        started.append(GatewayProcess(settings, api_key, log_file, **environment))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.stop()


@pytest.fixture(scope="session")
def worked_settings(settings: Settings) -> Settings:
    """Settings with a task queue for which a test may run a worker."""
    return settings.model_copy(update={"temporal_task_queue": f"worked-{uuid4()}"})


@pytest.fixture(scope="session")
def worked_gateway(worked_settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    """A gateway whose operations progress once a test runs `working`."""
    with RunningGateway(worked_settings, api_key) as server:
        yield server


@pytest.fixture
async def worked(worked_gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with worked_gateway.client() as client:
        yield client


@pytest.fixture
async def http_with_worker(worked: httpx.AsyncClient, worked_settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway whose operations progress."""
    async with working(worked_settings):
        yield worked


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let changes of tenants wait for longer than a worker needs, so that a slow machine changes no response."""
    monkeypatch.setattr(changes, "CHANGE_WAIT_SECONDS", 60)


@pytest.fixture
async def http(gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        yield client


@pytest.fixture
async def temporal_client(settings: Settings) -> Client:
    return await connect(settings)


@pytest.fixture
async def database(gateway_database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(gateway_database)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def keys(settings: Settings) -> AsyncIterator[Keys]:
    async with open_keys(settings) as keys:
        yield keys


@asynccontextmanager
async def working(settings: Settings, extensions: Extensions = NO_EXTENSIONS) -> AsyncIterator[None]:
    """Run a worker for the settings' task queue."""
    engine = worker_engine(settings)
    try:
        async with create_worker(settings, await connect(settings), engine, extensions=extensions):
            yield
    finally:
        await engine.dispose()


def as_gateway(postgres: EmbeddedPostgres, admin_url: str) -> str:
    """Return the URL of the same database for the gateway's role."""
    return urlsplit(postgres.url)._replace(path=urlsplit(admin_url).path).geturl()


async def _prepare(url: str, role: str) -> None:
    target = make_url(url).set(drivername="postgresql+asyncpg")
    await upgrade(target, gateway_role=role)
    engine = admin_engine(target)
    async with engine.begin() as connection:
        await create_development_tables(connection)
        await connection.exec_driver_sql(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
        )
    await engine.dispose()


async def create_key(settings: Settings) -> str:
    async with open_keys(settings) as keys:
        return (await keys.create()).key
