"""A gateway that lets webhooks lead to loopback, on a database of its own, and what delivers there."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.blocking import run_blocking
from app.settings import Settings
from tests.app.gateway.conftest import as_gateway, create_key
from tests.app.gateway.server import RunningGateway
from tests.app.worker.deliveries.outbox import Outbox
from tests.support.engines import engine_on
from tests.support.servers.databases import NewDatabase
from tests.support.servers.receiver import Receiver

Add = Callable[..., Awaitable[dict[str, Any]]]

TABLES = ("webhooks", "webhook_secrets", "events", "event_sequences", "deliveries", "delivery_attempts")


@pytest.fixture(scope="session")
def webhook_settings(
    settings: Settings, new_database: NewDatabase, migrated_template: str, postgres: EmbeddedPostgres
) -> Settings:
    url = new_database(migrated_template)
    own = {
        "database_url": SecretStr(as_gateway(postgres, url)),
        "admin_database_url": SecretStr(url),
        "webhook_allowed_networks": "127.0.0.0/8",
    }
    return settings.model_copy(update=own)


@pytest.fixture(scope="session")
def webhook_gateway(webhook_settings: Settings) -> Iterator[RunningGateway]:
    with RunningGateway(webhook_settings, run_blocking(create_key(webhook_settings))) as server:
        yield server


@pytest.fixture
async def http(webhook_gateway: RunningGateway, outbox: Outbox) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ARG001 - removes what is created
    async with webhook_gateway.client() as client:
        yield client


@pytest.fixture
async def outbox(webhook_settings: Settings) -> AsyncIterator[Outbox]:
    """The tables of events, which are empty before and after the test."""
    url = webhook_settings.admin_database_url.get_secret_value()
    async with engine_on(url) as engine, asyncpg.create_pool(url, min_size=1, max_size=4) as pool:
        yield Outbox(url, pool, engine)
        await pool.execute(f"TRUNCATE {', '.join(f'alga_tenants.{table}' for table in TABLES)}")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def add(http: httpx.AsyncClient, receiver: Receiver) -> Add:
    """Return a function that creates a webhook of the receiver, which learns its secret."""

    async def add(path: str = "/events", **fields: Any) -> dict[str, Any]:
        response = await http.post("/webhooks", json={"url": receiver.url(path), **fields})
        assert response.status_code == 201, response.text
        document: dict[str, Any] = response.json()
        receiver.secrets[path] = document["secret"]
        return document

    return add


@pytest.fixture(autouse=True)
def frequent_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the tests waiting for the next look for due deliveries."""
    monkeypatch.setattr("app.worker.deliveries.POLL_SECONDS", 0.05)
