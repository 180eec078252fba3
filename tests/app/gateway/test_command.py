"""The real command as a process of its own."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
import asyncpg
import httpx
import pytest

from app.embedded.errors import StackError
from app.embedded.processes.ports import free_port
from app.embedded.processes.processes import ChildProcess
from app.embedded.temporal import EmbeddedTemporal
from app.settings import Settings
from tests.app.gateway.requests import VISIBLE_PASSWORD, create, tenant, tenant_with_admin
from tests.app.gateway.server import environment_of
from tests.support.servers.processes import wait_for

pytestmark = pytest.mark.anyio

REPOSITORY = Path(__file__).parents[3]
STARTED = "SELECT true FROM alga_tenants.operations WHERE tenant_name = $1"

Start = Callable[..., "Command"]


class Command:
    """`alga-tenants gateway`, and what it has logged."""

    def __init__(self, settings: Settings, api_key: str, log_file: Path, **environment: str) -> None:
        self.port = free_port()
        self.process = ChildProcess(
            "gateway",
            [sys.executable, "-m", "app.cli", "gateway"],
            log_file=log_file,
            env={"PATH": os.defpath, **environment_of(settings), "GATEWAY_PORT": str(self.port), **environment},
            cwd=REPOSITORY,
        )
        self.headers = {"Authorization": f"Bearer {api_key}"}

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=self.headers, timeout=30)

    def start(self) -> None:
        self.process.start()
        self.process.wait_until(self._is_alive, timeout=30)

    @property
    def log(self) -> str:
        return self.process.log_file.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines()]

    def _is_alive(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/livez").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def start(settings: Settings, api_key: str, tmp_path: Path) -> Iterator[Start]:
    """Starts the command with these variables besides the usual ones."""
    started: list[Command] = []

    def start(**environment: str) -> Command:
        started.append(Command(settings, api_key, tmp_path / "gateway.log", **environment))
        started[-1].start()
        return started[-1]

    yield start
    for command in started:
        command.process.stop()


async def test_each_request_is_one_line_of_json(start: Start) -> None:
    command = start()
    async with command.client() as http:
        http.headers["X-Request-ID"] = "find-me"
        created = await create(http)
        await http.get(created["links"]["self"])
        await http.get("/operations/unknown")
    # A request's line comes after its answer.
    command.process.stop()
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
    assert "/livez" not in {line.get("path") for line in command.lines}, "asked every few seconds"
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
    command.process.stop()
    for secret in (
        VISIBLE_PASSWORD,
        made["temporaryPassword"],
        api_key,
        settings.nextauth_secret.get_secret_value(),
        settings.database_url.get_secret_value(),
    ):
        assert secret not in command.log


async def test_sigterm_answers_those_who_wait_and_takes_no_more(start: Start, database: asyncpg.Connection) -> None:
    command, name = start(), f"Waited for {uuid4()}"
    async with command.client() as http:
        answers: list[httpx.Response] = []

        async def wait_long() -> None:
            answers.append(await http.post("/tenants", json=tenant(tenantName=name), headers={"Prefer": "wait=60"}))

        async with anyio.create_task_group() as group:
            group.start_soon(wait_long)
            with anyio.fail_after(10):
                while not await database.fetchval(STARTED, name):  # noqa: ASYNC110 - only asking tells
                    await anyio.sleep(0.05)
            await anyio.to_thread.run_sync(command.process.stop)
    assert (answers[0].status_code, answers[0].json()["status"]) == (202, "queued")
    async with command.client() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("/livez")


async def test_what_temporals_core_has_to_say_has_the_same_form(start: Start, own_temporal: EmbeddedTemporal) -> None:
    command = start(TEMPORAL_ADDRESS=own_temporal.address)
    async with command.client() as http:
        await create(http)
        own_temporal.stop()
        assert (await http.post("/tenants", json=tenant())).status_code == 503
    command.process.stop()
    assert "temporalio.core" in {line["logger"] for line in command.lines}


def test_a_missing_setting_ends_it_with_a_line_that_names_it(start: Start) -> None:
    with pytest.raises(StackError, match="NEXTAUTH_SECRET"):
        start(NEXTAUTH_SECRET="changeme")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_request_under_way_is_answered_after_the_signal_to_end_and_the_status_is_0(
    start: Start, number: signal.Signals
) -> None:
    command = start()
    name = f"Waited for {uuid4()}"
    answers: list[httpx.Response] = []

    async def wait_for_a_tenant(client: httpx.AsyncClient) -> None:
        body = tenant(tenantName=name)
        answers.append(await client.post("/tenants", json=body, headers={"Prefer": "wait=20"}))

    async with command.client() as client, anyio.create_task_group() as group:
        group.start_soon(wait_for_a_tenant, client)
        with anyio.fail_after(20):
            while not (await client.get("/operations", params={"name": name})).json()["operations"]:
                await anyio.lowlevel.checkpoint()
        command.process.send_signal(number)
    assert [answer.status_code for answer in answers] == [202]
    await anyio.to_thread.run_sync(wait_for, lambda: command.process.exit_status is not None)
    assert command.process.exit_status == 0
