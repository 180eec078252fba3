"""The `dev` command, started as its users do."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import text

from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.processes import Account, launcher
from app.embedded.stack import DevStack
from tests.app.embedded.owner import ENVIRONMENT, REPOSITORY
from tests.migrations.test_migrations import make_unreleased
from tests.support.connections import connected
from tests.support.folders import reachable_folder
from tests.support.servers.processes import processes_in, wait_for

COMMAND = [sys.executable, "-m", "app.cli"]
KEYS = {"url", "apiKey", "databaseUrl", "adminDatabaseUrl", "temporalAddress", "temporalUi"}


def environment(**changes: str) -> dict[str, str]:
    ours = {"ADMIN_DATABASE_URL", "DATABASE_URL", "TEMPORAL_ADDRESS", "NEXTAUTH_SECRET"}
    return {name: value for name, value in os.environ.items() if name not in ours} | changes


class Dev:
    """`alga-tenants dev` in one folder, whose data a restart finds again."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.facts: dict[str, Any] = {}
        self._process: subprocess.Popen[str] | None = None

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *options: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - a command line of ours
            [*COMMAND, "dev", "--json", "--data-dir", str(self.data_dir), *options],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.facts = json.loads(self._process.stdout.readline())

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=60)
        assert rest == "", "the addresses are the only line"
        return self.process.returncode


@contextmanager
def emptied_folder() -> Iterator[Path]:
    """Make a folder in which no process may be left at the end."""
    with reachable_folder() as folder:
        yield folder
        wait_for(lambda: not processes_in(folder))


@pytest.fixture
def folder() -> Iterator[Path]:
    with emptied_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def shared_dev() -> Iterator[Dev]:
    with emptied_folder() as folder:
        dev = Dev(folder)
        yield dev
        if dev.is_running:
            dev.stop(signal.SIGTERM)


@pytest.fixture
def dev(shared_dev: Dev) -> Dev:
    """A running command that the module's tests share; a test may stop it."""
    if not shared_dev.is_running:
        shared_dev.start()
    return shared_dev


def run(command: list[str], **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - a command line of ours
        command, env=environment(**changes), capture_output=True, text=True, timeout=120, check=False
    )


def test_data_of_an_unreleased_version_is_an_error_that_offers_a_reset(shared_dev: Dev) -> None:
    if shared_dev.is_running:
        shared_dev.stop(signal.SIGTERM)
    with DevStack(shared_dev.data_dir, temporal_address="elsewhere:7233", durable=False) as stack:
        run_blocking(_make_unreleased(stack.endpoints.admin_database_url))
    refused = run([*COMMAND, "dev", "--data-dir", str(shared_dev.data_dir)])
    assert refused.returncode == 1
    message = " ".join(refused.stderr.split())
    assert "unreleased version" in message
    assert "alga-tenants dev --reset --data-dir" in message
    assert "Traceback" not in refused.stderr
    shared_dev.start("--reset")
    assert httpx.get(f"{shared_dev.facts['url']}/readyz").status_code == 200


async def _make_unreleased(url: str) -> None:
    async with connected(url) as connection:
        await connection.execute(text("DROP SCHEMA IF EXISTS alga_tenants CASCADE"))
        await make_unreleased(connection)


def test_it_prints_its_addresses_in_one_line(dev: Dev) -> None:
    assert set(dev.facts) == KEYS
    assert httpx.get(f"{dev.facts['url']}/readyz").status_code == 200


def test_a_folder_in_use_is_reported(dev: Dev) -> None:
    second = run([*COMMAND, "dev", "--json", "--data-dir", str(dev.data_dir)])
    assert second.returncode == 1
    assert f"is in use by process {dev.process.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    assert httpx.get(f"{dev.facts['url']}/readyz").status_code == 200, "the first runs on"


def test_two_run_side_by_side(dev: Dev, folder: Path) -> None:
    second = Dev(folder)
    second.start()
    try:
        for facts in (dev.facts, second.facts):
            response = httpx.get(f"{facts['url']}/tenants", headers={"Authorization": f"Bearer {facts['apiKey']}"})
            assert response.status_code == 200
        stranger = {"Authorization": f"Bearer {dev.facts['apiKey']}"}
        assert httpx.get(f"{second.facts['url']}/tenants", headers=stranger).status_code == 401
    finally:
        assert second.stop(signal.SIGTERM) == 0


def test_it_leaves_nothing_running_and_a_second_start_finds_the_data_and_the_key_of_the_first(dev: Dev) -> None:
    first = dev.facts
    headers = {"X-API-Key": first["apiKey"], "Prefer": "wait=30"}
    body = {"tenantName": "Kept", "adminUser": {"firstName": "A", "lastName": "B", "email": "kept@tenants.example"}}
    created = httpx.post(f"{first['url']}/tenants", json=body, headers=headers, timeout=60)
    assert created.status_code == 201
    children = psutil.Process(dev.process.pid).children(recursive=True)
    assert len(children) > 4
    assert dev.stop(signal.SIGINT) == 0
    assert [child for child in children if child.is_running()] == []
    dev.start()
    assert dev.facts["apiKey"] == first["apiKey"]
    found = httpx.get(f"{dev.facts['url']}/operations/{created.json()['workflowId']}", headers=headers)
    assert found.json()["status"] == "completed"


@pytest.mark.parametrize("is_ordinary", [False, True], ids=["current user", "ordinary user"])
def test_the_example_ends_with_status_0(folder: Path, request: pytest.FixtureRequest, *, is_ordinary: bool) -> None:
    home = folder / "home"
    home.mkdir()
    options = ["-m", "app.cli", "dev", "--once", "--data-dir", str(home / "data")]
    if is_ordinary:
        account: Account = request.getfixturevalue("ordinary_account")
        os.chown(home, account.uid, account.gid)
        command = launcher([request.getfixturevalue("ordinary_python"), *options], cwd=REPOSITORY, account=account)
        result = run(command, **ENVIRONMENT, HOME=str(home))
    else:
        result = run([sys.executable, *options])
    assert result.returncode == 0, result.stdout + result.stderr
    for expected in ("completed", "temporary password", "role_permissions", "402"):
        assert expected in result.stdout
