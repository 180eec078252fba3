"""The `dev` command, started as its users do."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
from typer.testing import CliRunner, Result

from activities.alga.development import EXAMPLE_PRICE
from activities.tenants.request import EXAMPLE_TENANT_ID
from app.cli import app
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.processes import launcher, unprivileged_account
from app.embedded.stack import DevStack
from tests.app.embedded.owner import ENVIRONMENT, REPOSITORY
from tests.migrations.test_migrations import make_unreleased
from tests.support.connections import connected
from tests.support.folders import reachable_folder
from tests.support.servers.processes import processes_in, wait_for

OURS = ("ADMIN_DATABASE_URL", "DATABASE_URL", "TEMPORAL_ADDRESS", "NEXTAUTH_SECRET")
COMMAND = [sys.executable, "-m", "app.cli"]
ELSEWHERE = "elsewhere:7233"
KEYS = {"url", "apiKey", "console", "databaseUrl", "adminDatabaseUrl", "temporalAddress", "temporalUi", "dataDir"}


def environment(**changes: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in OURS} | changes


class Dev:
    """`alga-tenants dev` in one folder, whose data a restart finds again."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.facts: dict[str, Any] = {}
        self._messages = folder / "messages"
        self._process: subprocess.Popen[str] | None = None

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def messages(self) -> str:
        """What the run has printed to stderr."""
        return self._messages.read_text()

    def start(self, *options: str) -> None:
        with self._messages.open("w") as messages:
            self._process = subprocess.Popen(  # noqa: S603 - a command line of ours
                [*COMMAND, "dev", "--json", "--data-dir", str(self.data_dir), *options],
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=messages,
                text=True,
            )
        assert self._process.stdout is not None
        self.facts = json.loads(self._process.stdout.readline())
        wait_for(lambda: "Ctrl-C stops everything" in self.messages, timeout=120)

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
def shared_folder() -> Iterator[Path]:
    with emptied_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def refused(shared_folder: Path) -> Result:
    """The first run in the shared folder, on data of an unreleased version."""
    with DevStack(shared_folder / "data", temporal_address=ELSEWHERE, durable=False) as stack:
        run_blocking(_make_unreleased(stack.endpoints.admin_database_url))
    return run("dev", "--json", "--data-dir", str(shared_folder / "data"), TEMPORAL_ADDRESS=ELSEWHERE)


@pytest.fixture(scope="module")
def shared_dev(refused: Result, shared_folder: Path) -> Iterator[Dev]:  # noqa: ARG001 - it follows that run
    dev = Dev(shared_folder)
    try:
        dev.start("--reset", "--example")
        yield dev
    finally:
        if dev.is_running:
            dev.stop(signal.SIGTERM)


@pytest.fixture
def dev(shared_dev: Dev) -> Dev:
    """A running command that the module's tests share; a test may stop it."""
    if not shared_dev.is_running:
        shared_dev.start()
    return shared_dev


def run(*arguments: str, **changes: str) -> Result:
    """Run a command in this process."""
    result = CliRunner(env=dict.fromkeys(OURS) | changes).invoke(app, arguments, prog_name="alga-tenants")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def run_process(command: list[str], **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - a command line of ours
        command, env=environment(**changes), capture_output=True, text=True, timeout=120, check=False
    )


async def _make_unreleased(url: str) -> None:
    async with connected(url) as connection:
        await make_unreleased(connection)


def example_in(messages: str) -> str:
    """Check that a run shows the example that it created, and return the tenant's name."""
    for expected in ("completed", "temporary password", "role_permissions", "402"):
        assert expected in messages
    match = re.search(r"creating the example tenant (Example \w+)", messages)
    assert match is not None
    return match[1]


def listed_tenants(dev: Dev) -> list[str]:
    response = httpx.get(f"{dev.facts['url']}/tenants", headers={"X-API-Key": dev.facts["apiKey"]})
    assert response.status_code == 200
    return [tenant["name"] for tenant in response.json()["tenants"]]


def test_data_of_an_unreleased_version_is_an_error_that_offers_a_reset(refused: Result, dev: Dev) -> None:
    assert refused.exit_code == 1
    message = " ".join(refused.stderr.split())
    assert "unreleased version" in message
    assert f"alga-tenants dev --reset --data-dir {dev.data_dir}" in message
    assert f"removed {dev.data_dir}" in " ".join(dev.messages.split())


def test_it_prints_its_addresses_in_one_line_and_creates_an_example(dev: Dev) -> None:
    assert set(dev.facts) == KEYS
    assert httpx.get(f"{dev.facts['url']}/readyz").status_code == 200
    name = example_in(dev.messages)
    example = httpx.get(f"{dev.facts['url']}/tenants/{EXAMPLE_TENANT_ID}", headers={"X-API-Key": dev.facts["apiKey"]})
    assert example.json()["name"] == name, "examples at /docs have this tenant"


def test_the_address_of_the_console_signs_in(dev: Dev) -> None:
    assert_signs_in(dev, dev.facts["console"])


def assert_signs_in(dev: Dev, console: str) -> None:
    """Check that the address of the console signs in."""
    address, _, link = console.partition("?link=")
    assert address == f"{dev.facts['url']}/console/sign-in"
    origin = {"Origin": dev.facts["url"]}
    with httpx.Client(follow_redirects=True, headers={"Accept": "text/html"}) as browser:
        assert "Sign in" in browser.get(console).text
        page = browser.post(f"{address}/link", data={"link": link}, headers=origin)
    assert (page.status_code, "Sign out" in page.text) == (200, True)


def test_commands_find_it_by_its_folder(dev: Dev) -> None:
    found = {"ALGA_TENANTS_DATA_DIR": str(dev.data_dir)}
    for command in ("list", "keys list", "keys list --database", "audit list", "audit verify", "reconcile", "doctor"):
        ran = run(*command.split(), **found)
        assert ran.exit_code == 0, command + ran.output
        assert f"Using `make run` at {dev.facts['url']}" in ran.stderr
    created = run_process([*COMMAND, "keys", "create", "mine", "--scope", "tenants:read", "--json"], **found)
    assert created.stderr == ""
    key = json.loads(created.stdout)["key"]
    assert httpx.get(f"{dev.facts['url']}/tenants", headers={"X-API-Key": key}).status_code == 200


def test_the_opened_console_signs_in(dev: Dev) -> None:
    opened = run("open", "--print", "--json", ALGA_TENANTS_DATA_DIR=str(dev.data_dir))
    address = json.loads(opened.stdout)["url"]
    assert address.startswith(f"{dev.facts['url']}/console/sign-in?link=")
    assert_signs_in(dev, address)


def test_its_profile_and_its_logs_can_be_read_by_nobody_else(dev: Dev) -> None:
    for file in ("profile.json", "logs/gateway.log", "logs/worker.log"):
        assert (dev.data_dir / file).stat().st_mode & 0o077 == 0, file


def test_the_data_of_a_running_instance_are_not_removed(dev: Dev) -> None:
    refused = run("dev", "reset", "--yes", "--data-dir", str(dev.data_dir))
    assert refused.exit_code == 1
    assert f"is in use by process {dev.process.pid}" in refused.stderr


def test_a_folder_in_use_is_reported(dev: Dev) -> None:
    second = run("dev", "--json", "--data-dir", str(dev.data_dir))
    assert second.exit_code == 1
    assert f"is in use by process {dev.process.pid}" in second.stderr
    assert httpx.get(f"{dev.facts['url']}/readyz").status_code == 200, "the first runs on"


def test_an_ordinary_user_runs_a_second_one_at_the_same_time(
    dev: Dev, folder: Path, request: pytest.FixtureRequest
) -> None:
    home = folder / "home"
    home.mkdir()
    options = ["-m", "app.cli", "dev", "--json", "--once", "--data-dir", str(home / "data")]
    account = unprivileged_account()
    if account is None:
        second = run_process([sys.executable, *options])
    else:
        os.chown(home, account.uid, account.gid)
        python = request.getfixturevalue("ordinary_python")
        command = launcher([python, *options], cwd=REPOSITORY, account=account)
        second = run_process(command, **ENVIRONMENT, HOME=str(home))
    assert second.returncode == 0, second.stdout + second.stderr
    facts = json.loads(second.stdout)
    shared = {name for name in KEYS if facts[name] == dev.facts[name]}
    assert not shared, "each has its own servers and key"
    stranger = {"Authorization": f"Bearer {facts['apiKey']}"}
    assert httpx.get(f"{dev.facts['url']}/tenants", headers=stranger).status_code == 401
    assert example_in(second.stderr) not in listed_tenants(dev)


def test_a_subscription_at_stripe_can_be_tried_with_the_example_price_of_its_management_tenant(dev: Dev) -> None:
    assert "Management" in listed_tenants(dev)
    admin = {"firstName": "Ada", "lastName": "Byron", "email": f"{uuid4()}@acme.example"}
    stripe = {name: f"{uuid4()}" for name in ("stripeCustomerId", "stripeSubscriptionId")}
    response = httpx.post(
        f"{dev.facts['url']}/tenants",
        headers={"X-API-Key": dev.facts["apiKey"], "Prefer": "wait=60"},
        json={"tenantName": "Acme", "adminUser": admin, "stripePriceId": EXAMPLE_PRICE, **stripe},
        timeout=90,
    )
    assert (response.status_code, response.json()["status"]) == (201, "completed"), response.text


def test_ctrl_c_leaves_nothing_running_and_the_next_run_finds_data_key_and_ports(dev: Dev) -> None:
    facts, tenants = dev.facts, listed_tenants(dev)
    assert_stop_leaves_nothing_running(dev, signal.SIGINT)
    dev.start()
    assert (dev.facts["url"], dev.facts["apiKey"]) == (facts["url"], facts["apiKey"])
    assert listed_tenants(dev) == tenants
    ports = json.loads((dev.data_dir / "ports.json").read_text())
    assert f"http://127.0.0.1:{ports['the gateway']}" == dev.facts["url"]
    assert set(ports) == {"PostgreSQL", "Temporal", "Temporal's web UI", "the gateway", "the worker's probes"}
    for log in ("logs/gateway.log", "logs/worker.log", "postgres/server.log", "temporal/server.log"):
        assert (dev.data_dir / log).exists()
        assert (dev.data_dir / f"{log}.previous").exists(), "the logs of the run before"


def test_a_termination_leaves_nothing_running(dev: Dev) -> None:
    assert_stop_leaves_nothing_running(dev, signal.SIGTERM)


def assert_stop_leaves_nothing_running(dev: Dev, number: signal.Signals) -> None:
    """Stop the command, and check that it and its processes have ended."""
    children = psutil.Process(dev.process.pid).children(recursive=True)
    assert len(children) > 4
    assert dev.stop(number) == 0
    assert [child for child in children if child.is_running()] == []
