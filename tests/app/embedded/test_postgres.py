import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from app.embedded.binaries import can_run, copied_install, postgres_install
from app.embedded.errors import FolderLockedError, StackError
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.ports import LOOPBACK, free_port
from app.embedded.processes.processes import Account
from tests.support.folders import reachable_folder
from tests.support.servers.processes import processes_in, wait_for

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder / "postgres"


@pytest.fixture
def server(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    """A server started for one test, on data that the tests of this file share."""
    with EmbeddedPostgres(data_dir) as server:
        yield server


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_the_application_role_is_no_superuser_and_may_not_create_tables(server: EmbeddedPostgres) -> None:
    assert await value(server.url, "SELECT current_user || ' ' || current_setting('is_superuser')") == "app_user off"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(server.url, "CREATE TABLE mine (id int)")


async def test_a_wrong_password_is_refused(server: EmbeddedPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.admin_url, password="wrong")


async def test_text_is_utf_8_with_its_case_rules(server: EmbeddedPostgres) -> None:
    assert await value(server.url, "SELECT current_setting('server_encoding') || lower('ÄÖÜ')") == "UTF8äöü"


async def test_data_and_passwords_survive_a_restart(server: EmbeddedPostgres) -> None:
    await execute(server.admin_url, "CREATE TABLE kept_when_stopped AS SELECT 42 AS value")
    password = server.admin_url.split("@")[0]

    server.stop()
    server.start()

    assert await value(server.admin_url, "SELECT value FROM kept_when_stopped") == 42
    assert server.admin_url.startswith(password)


async def test_two_servers_run_side_by_side(server: EmbeddedPostgres, folder: Path) -> None:
    with EmbeddedPostgres(folder / "other", durable=False) as other:
        await execute(other.admin_url, "CREATE TABLE only_here (id int)")

        assert await value(server.admin_url, "SELECT to_regclass('only_here')") is None
        assert (other.port, other.pid) != (server.port, server.pid)


async def test_a_killed_server_starts_again_with_its_data(server: EmbeddedPostgres) -> None:
    await execute(server.admin_url, "CREATE TABLE kept_when_killed AS SELECT 42 AS value")
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    assert (server.data_dir / "cluster" / "postmaster.pid").exists()

    server.start()

    assert await value(server.admin_url, "SELECT value FROM kept_when_killed") == 42


def test_nothing_is_left_running_after_stop(server: EmbeddedPostgres) -> None:
    assert len(processes_in(server.data_dir)) > 1

    server.stop()

    wait_for(lambda: not processes_in(server.data_dir))


def test_the_server_itself_keeps_its_folder_locked(server: EmbeddedPostgres) -> None:
    assert server.data_dir / "lock" in [Path(file.path) for file in psutil.Process(server.pid).open_files()]


def test_a_folder_in_use_is_refused_by_name_and_owner(server: EmbeddedPostgres) -> None:
    with pytest.raises(FolderLockedError, match=f"{server.data_dir} is in use by process {os.getpid()}:"):
        EmbeddedPostgres(server.data_dir).start()


async def test_a_port_that_was_taken_meanwhile_is_replaced(data_dir: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        ports = iter([taken.getsockname()[1], free := free_port()])
        with EmbeddedPostgres(data_dir, pick_port=lambda: next(ports)) as server:
            assert server.port == free
            assert await value(server.url, "SELECT 1") == 1


def test_a_server_that_cannot_start_shows_its_log_and_leaves_nothing(server: EmbeddedPostgres) -> None:
    server.stop()
    version = server.data_dir / "cluster" / "PG_VERSION"
    right = version.read_text()
    version.write_text("9.6\n")

    with pytest.raises(StackError, match="not compatible with this version"):
        server.start()

    assert not processes_in(server.data_dir)
    version.write_text(right)


def test_passwords_and_log_are_for_the_owner_alone(server: EmbeddedPostgres) -> None:
    modes = {name: (server.data_dir / name).stat().st_mode & 0o777 for name in ("passwords.json", "server.log")}

    assert modes == {"passwords.json": 0o600, "server.log": 0o600}


def test_programs_that_the_server_account_cannot_reach_are_copied_once(
    folder: Path, ordinary_account: Account
) -> None:
    private = copied_install(postgres_install(account=None), folder / "private")
    assert can_run(private, ordinary_account)
    (folder / "private").chmod(0o700)
    assert not can_run(private, ordinary_account)

    copy = copied_install(private, folder / "copy")
    made = copy.stat().st_ino

    assert can_run(copy, ordinary_account)
    assert copied_install(private, folder / "copy").stat().st_ino == made
