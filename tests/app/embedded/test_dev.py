"""The `dev` command, started as its users do."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import text

from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.processes import Account, launcher
from tests.app.embedded.owner import ENVIRONMENT, REPOSITORY
from tests.support.connections import connected
from tests.support.folders import reachable_folder
from tests.support.servers.processes import processes_in, wait_for

COMMAND = [sys.executable, "-m", "app.cli"]
KEYS = {"url", "apiKey", "databaseUrl", "adminDatabaseUrl", "temporalAddress", "temporalUi"}


def environment(**changes: str) -> dict[str, str]:
    ours = {"ADMIN_DATABASE_URL", "DATABASE_URL", "TEMPORAL_ADDRESS", "NEXTAUTH_SECRET"}
    return {name: value for name, value in os.environ.items() if name not in ours} | changes


@pytest.fixture
def folder() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder
        wait_for(lambda: not processes_in(folder))


def run(command: list[str], **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - a command line of ours
        command, env=environment(**changes), capture_output=True, text=True, timeout=120, check=False
    )


def start(folder: Path) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = subprocess.Popen(  # noqa: S603 - a command line of ours
        [*COMMAND, "dev", "--json", "--data-dir", str(folder / "data")],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    return process, json.loads(line)


def stop(process: subprocess.Popen[str], number: signal.Signals) -> int:
    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)
    assert rest == ""
    return process.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_addresses_in_one_line_and_leaves_nothing_running(folder: Path, number: signal.Signals) -> None:
    process, facts = start(folder)
    assert set(facts) == KEYS
    assert httpx.get(f"{facts['url']}/readyz").status_code == 200
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) > 4
    assert stop(process, number) == 0
    assert [child for child in children if child.is_running()] == []


def test_a_second_start_finds_the_data_and_the_key_of_the_first(folder: Path) -> None:
    process, facts = start(folder)
    headers = {"X-API-Key": facts["apiKey"], "Prefer": "wait=30"}
    body = {"tenantName": "Kept", "adminUser": {"firstName": "A", "lastName": "B", "email": "kept@tenants.example"}}
    created = httpx.post(f"{facts['url']}/tenants", json=body, headers=headers, timeout=60)
    assert created.status_code == 201
    stop(process, signal.SIGTERM)
    process, again = start(folder)
    assert again["apiKey"] == facts["apiKey"]
    found = httpx.get(f"{again['url']}/operations/{created.json()['workflowId']}", headers=headers)
    assert found.json()["status"] == "completed"
    assert stop(process, signal.SIGTERM) == 0


def test_the_example_ends_with_status_0_and_shows_what_was_made(folder: Path) -> None:
    result = run([*COMMAND, "dev", "--once", "--data-dir", str(folder / "data")])
    assert result.returncode == 0, result.stderr
    for expected in ("completed", "temporary password", "role_permissions", "402"):
        assert expected in result.stdout


def test_two_run_side_by_side(folder: Path) -> None:
    (folder / "one").mkdir()
    (folder / "two").mkdir()
    (folder / "one").chmod(0o711)
    (folder / "two").chmod(0o711)
    one, first = start(folder / "one")
    two, second = start(folder / "two")
    try:
        for facts in (first, second):
            response = httpx.get(f"{facts['url']}/tenants", headers={"Authorization": f"Bearer {facts['apiKey']}"})
            assert response.status_code == 200
        stranger = {"Authorization": f"Bearer {first['apiKey']}"}
        assert httpx.get(f"{second['url']}/tenants", headers=stranger).status_code == 401
    finally:
        assert [stop(process, signal.SIGTERM) for process in (one, two)] == [0, 0]


def test_a_folder_in_use_is_reported(folder: Path) -> None:
    process, _ = start(folder)
    try:
        second = run([*COMMAND, "dev", "--json", "--data-dir", str(folder / "data")])
        assert second.returncode == 1
        assert "is in use by process" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        stop(process, signal.SIGTERM)


def test_data_of_an_unreleased_version_is_an_error_that_offers_a_reset(folder: Path) -> None:
    process, facts = start(folder)
    run_blocking(_make_unreleased(facts["adminDatabaseUrl"]))
    assert stop(process, signal.SIGTERM) == 0
    refused = run([*COMMAND, "dev", "--data-dir", str(folder / "data")])
    assert refused.returncode == 1
    message = " ".join(refused.stderr.split())
    assert "unreleased version" in message
    assert "alga-tenants dev --reset --data-dir" in message
    assert "Traceback" not in refused.stderr
    again = run([*COMMAND, "dev", "--once", "--reset", "--data-dir", str(folder / "data")])
    assert again.returncode == 0, again.stderr


async def _make_unreleased(url: str) -> None:
    async with connected(url) as connection:
        await connection.execute(text("UPDATE alga_tenants.alembic_version SET version_num = '0004'"))


def test_it_runs_as_an_ordinary_user(folder: Path, ordinary_account: Account, ordinary_python: str) -> None:
    home = folder / "home"
    home.mkdir()
    os.chown(home, ordinary_account.uid, ordinary_account.gid)
    command = [ordinary_python, *COMMAND[1:], "dev", "--once", "--data-dir", str(home / "data")]
    result = run(launcher(command, cwd=REPOSITORY, account=ordinary_account), **ENVIRONMENT, HOME=str(home))
    assert result.returncode == 0, result.stdout + result.stderr
