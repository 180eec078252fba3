"""The gateway command in a process."""

import signal
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import httpx
import pytest

from app.settings import Settings
from tests.app.gateway.conftest import Start
from tests.app.gateway.process import GatewayProcess
from tests.app.gateway.requests import VISIBLE_PASSWORD, create, tenant, tenant_with_admin
from tests.support.servers.processes import wait_for
from tests.support.servers.proxy import Proxy
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

PATIENCE = 60.0
STARTED = "SELECT true FROM alga_tenants.operations WHERE tenant_name = $1"


@dataclass(frozen=True)
class Traffic:
    """What a gateway process with the most verbose log was asked, and what it logged."""

    log: str
    lines: list[dict[str, Any]]
    found: dict[str, Any]
    created: dict[str, Any]
    waited: httpx.Response
    """The response to a request that waited at SIGTERM."""
    exit_status: int | None
    url: str


@pytest.fixture(scope="module")
async def traffic(
    settings: Settings, api_key: str, gateway_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Traffic:
    """Create tenants, make mistakes, lose Temporal for a while, and end the process by SIGTERM."""
    async with Proxy(int(settings.temporal_address.rpartition(":")[2])) as proxy:
        command = GatewayProcess(
            settings,
            api_key,
            tmp_path_factory.mktemp("traffic") / "gateway.log",
            TEMPORAL_ADDRESS=f"127.0.0.1:{proxy.port}",
            LOG_LEVEL="debug",
        )
        try:
            await anyio.to_thread.run_sync(command.start)
            async with command.client(**{"X-API-Key": api_key, "X-Request-ID": "find-me"}) as http:
                found = await create(http)
                await http.get(found["links"]["self"])
                await http.get("/operations/unknown")
            async with command.client() as http:
                created = await make_mistakes(http)
                proxy.refuse()
                assert (await http.post("/tenants", json=tenant())).status_code == 503
                await proxy.accept()
                await wait_until(lambda: is_accepted(http), timeout=PATIENCE)
                waited = await end_while_waiting(command, http, gateway_database)
            # A request is logged after its response.
            await anyio.to_thread.run_sync(wait_for, lambda: command.process.exit_status is not None)
        finally:
            await anyio.to_thread.run_sync(command.stop)
    return Traffic(command.log, command.lines, found, created, waited, command.process.exit_status, command.url)


async def is_accepted(http: httpx.AsyncClient) -> bool:
    """Return whether a tenant can be created."""
    return (await http.post("/tenants", json=tenant())).status_code == 202


async def end_while_waiting(command: GatewayProcess, http: httpx.AsyncClient, database_url: str) -> httpx.Response:
    """Send SIGTERM while a request waits, and return its response."""
    name = f"Waited for {uuid4()}"
    responses: list[httpx.Response] = []

    async def wait_long() -> None:
        responses.append(await http.post("/tenants", json=tenant(tenantName=name), headers={"Prefer": "wait=60"}))

    database = await asyncpg.connect(database_url)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(wait_long)
            await wait_until(lambda: database.fetchval(STARTED, name), timeout=PATIENCE)
            command.process.send_signal(signal.SIGTERM)
    finally:
        await database.close()
    return responses[0]


async def make_mistakes(http: httpx.AsyncClient) -> dict[str, Any]:
    """Send requests with secrets, valid and invalid ones, and return the response to the first."""
    created = await create(http, tenant_with_admin(password=None))
    await create(http)
    await http.post("/tenants", json=tenant_with_admin(nickname="x", email="wrong"))
    await http.post("/tenants", json=tenant(tenantId=created["tenantId"]))
    key = http.headers["Authorization"]
    await http.get("/tenants", headers={"Authorization": f"{key}x"})
    return created


def assert_no_secret(log: str, created: dict[str, Any], settings: Settings, api_key: str) -> None:
    for secret in (
        VISIBLE_PASSWORD,
        created["temporaryPassword"],
        api_key,
        settings.nextauth_secret.get_secret_value(),
        settings.database_url.get_secret_value(),
    ):
        assert secret not in log


async def test_each_request_is_one_line_of_json(traffic: Traffic) -> None:
    lines = [line for line in traffic.lines if line["message"] == "request" and line.get("request_id") == "find-me"]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("POST", "/tenants", 202),
        ("GET", "/operations/{id}", 200),
        ("GET", "/operations/{id}", 404),
    ]
    assert lines[0]["caller"] == traffic.found["requestedBy"]
    assert lines[0]["duration_ms"] > 0
    assert lines[2]["problem"] == "operation-not-found"
    seen = [line for line in traffic.lines if line["level"] != "debug"]
    assert "/livez" not in {line.get("path") for line in seen}, "probes are only logged for debugging"
    assert lines[0].keys() >= {"level", "timestamp", "logger"}


async def test_lines_of_temporals_core_have_the_same_form(traffic: Traffic) -> None:
    assert "temporalio.core" in {line["logger"] for line in traffic.lines}


async def test_no_secret_is_ever_logged(traffic: Traffic, settings: Settings, api_key: str) -> None:
    assert_no_secret(traffic.log, traffic.created, settings, api_key)


async def test_in_development_no_secret_is_logged_and_ctrl_c_exits_with_0(
    start: Start, settings: Settings, api_key: str
) -> None:
    command = start(LOG_LEVEL="debug", ENVIRONMENT="development")
    async with command.client() as http:
        created = await make_mistakes(http)
    command.process.send_signal(signal.SIGINT)
    await anyio.to_thread.run_sync(wait_for, lambda: command.process.exit_status is not None)
    assert command.process.exit_status == 0
    assert_no_secret(command.log, created, settings, api_key)


async def test_sigterm_ends_waiting_requests_closes_the_listener_and_the_exit_status_is_0(traffic: Traffic) -> None:
    assert (traffic.waited.status_code, traffic.waited.json()["status"]) == (202, "queued")
    assert traffic.exit_status == 0
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"{traffic.url}/livez")
