"""The gateway command in a process."""

import signal
from uuid import uuid4

import anyio
import anyio.lowlevel
import asyncpg
import httpx
import pytest

from app.embedded.errors import StackError
from app.embedded.temporal import EmbeddedTemporal
from app.settings import Settings
from tests.app.gateway.conftest import Start
from tests.app.gateway.requests import VISIBLE_PASSWORD, create, tenant, tenant_with_admin
from tests.support.servers.processes import wait_for

pytestmark = pytest.mark.anyio

STARTED = "SELECT true FROM alga_tenants.operations WHERE tenant_name = $1"


async def test_each_request_is_one_line_of_json(start: Start) -> None:
    command = start()
    async with command.client() as http:
        http.headers["X-Request-ID"] = "find-me"
        created = await create(http)
        await http.get(created["links"]["self"])
        await http.get("/operations/unknown")
    # A request is logged after its response.
    command.stop()
    lines = [line for line in command.lines if line["message"] == "request" and line.get("caller")]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("POST", "/tenants", 202),
        ("GET", "/operations/{id}", 200),
        ("GET", "/operations/{id}", 404),
    ]
    assert lines[0]["request_id"] == "find-me"
    assert lines[0]["caller"] == created["requestedBy"]
    assert lines[0]["duration_ms"] > 0
    assert lines[2]["problem"] == "operation-not-found"
    assert "/livez" not in {line.get("path") for line in command.lines}, "probes are not logged"
    assert lines[0].keys() >= {"level", "timestamp", "logger"}


@pytest.mark.parametrize("environment", ["production", "development"])
async def test_no_secret_is_ever_logged(start: Start, settings: Settings, api_key: str, environment: str) -> None:
    command = start(LOG_LEVEL="debug", ENVIRONMENT=environment)
    async with command.client() as http:
        made = await create(http, tenant_with_admin(password=None))
        await create(http)
        await http.post("/tenants", json=tenant_with_admin(nickname="x", email="wrong"))
        await http.post("/tenants", json=tenant(tenantId=made["tenantId"]))
        await http.get("/tenants", headers={"Authorization": f"Bearer {api_key}x"})
    command.stop()
    for secret in (
        VISIBLE_PASSWORD,
        made["temporaryPassword"],
        api_key,
        settings.nextauth_secret.get_secret_value(),
        settings.database_url.get_secret_value(),
    ):
        assert secret not in command.log


async def test_sigterm_ends_waiting_requests_and_closes_the_listener(
    start: Start, database: asyncpg.Connection
) -> None:
    command, name = start(), f"Waited for {uuid4()}"
    async with command.client() as http:
        responses: list[httpx.Response] = []

        async def wait_long() -> None:
            responses.append(await http.post("/tenants", json=tenant(tenantName=name), headers={"Prefer": "wait=60"}))

        async with anyio.create_task_group() as group:
            group.start_soon(wait_long)
            with anyio.fail_after(10):
                while not await database.fetchval(STARTED, name):  # noqa: ASYNC110 - polls the database
                    await anyio.sleep(0.05)
            await anyio.to_thread.run_sync(command.stop)
    assert (responses[0].status_code, responses[0].json()["status"]) == (202, "queued")
    async with command.client() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("/livez")


async def test_lines_of_temporals_core_have_the_same_form(start: Start, own_temporal: EmbeddedTemporal) -> None:
    command = start(TEMPORAL_ADDRESS=own_temporal.address)
    async with command.client() as http:
        await create(http)
        own_temporal.stop()
        assert (await http.post("/tenants", json=tenant())).status_code == 503
    command.stop()
    assert "temporalio.core" in {line["logger"] for line in command.lines}


def test_an_invalid_setting_ends_it_and_is_named(start: Start) -> None:
    with pytest.raises(StackError, match="NEXTAUTH_SECRET"):
        start(NEXTAUTH_SECRET="changeme")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_request_in_progress_finishes_after_sigterm_and_the_exit_status_is_0(
    start: Start, number: signal.Signals
) -> None:
    command = start()
    name = f"Waited for {uuid4()}"
    responses: list[httpx.Response] = []

    async def wait_for_a_tenant(client: httpx.AsyncClient) -> None:
        body = tenant(tenantName=name)
        responses.append(await client.post("/tenants", json=body, headers={"Prefer": "wait=20"}))

    async with command.client() as client, anyio.create_task_group() as group:
        group.start_soon(wait_for_a_tenant, client)
        with anyio.fail_after(20):
            while not (await client.get("/operations", params={"name": name})).json()["operations"]:
                await anyio.lowlevel.checkpoint()
        command.process.send_signal(number)
    assert [response.status_code for response in responses] == [202]
    await anyio.to_thread.run_sync(wait_for, lambda: command.process.exit_status is not None)
    assert command.process.exit_status == 0
