import os
import pwd
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from app.embedded.errors import StackError
from app.embedded.processes.processes import Account
from app.embedded.stack import DevStack
from tests.app.embedded.owner import Owner
from tests.support.servers.processes import processes_in, wait_for

StartOwner = Callable[..., Owner]


def says_up(log: Path) -> bool:
    return log.read_text() == "up\n"


@pytest.fixture
def bare_stack(folder: Path) -> DevStack:
    """A stack with external servers, so that it starts none."""
    return DevStack(
        folder / "data", admin_database_url="postgresql://elsewhere/alga", temporal_address="elsewhere:7233"
    )


def test_external_servers_are_used_as_they_are(bare_stack: DevStack, folder: Path) -> None:
    with bare_stack as stack:
        assert stack.endpoints.admin_database_url == stack.endpoints.database_url == "postgresql://elsewhere/alga"
        assert (stack.endpoints.temporal_address, stack.endpoints.temporal_ui) == ("elsewhere:7233", None)
        assert stack.endpoints.data_dir == folder / "data"
        assert not processes_in(folder)


def test_processes_end_in_reverse_order_of_their_start(bare_stack: DevStack, tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    code = """if True:
        import pathlib, signal, sys, time
        def end(*_):
            with pathlib.Path(sys.argv[1]).open('a') as file:
                file.write(sys.argv[2] + ' ')
            sys.exit()
        signal.signal(signal.SIGTERM, end)
        print('up', flush=True)
        time.sleep(99)
    """
    with bare_stack as stack:
        for name in ("first", "second"):
            log: Path = stack.endpoints.data_dir / "logs" / f"{name}.log"
            argv: list[str | Path] = [sys.executable, "-c", code, ends, name]
            stack.start_process(name, argv, {}, partial(says_up, log))

    assert ends.read_text() == "second first "


def test_a_process_that_ends_by_itself_ends_the_watch(bare_stack: DevStack) -> None:
    with bare_stack as stack:
        stack.start_process("worker", [sys.executable, "-c", "input(); print('out of luck')"], {}, lambda: True)

        with pytest.raises(StackError, match=r"worker ended with status 1"):
            stack.watch()


def test_a_stop_signal_during_start_up_ends_everything(start_owner: StartOwner) -> None:
    owner = start_owner()
    wait_for(lambda: bool(processes_in(owner.folder)))

    for _ in range(3):
        os.kill(owner.process.pid, signal.SIGINT)

    wait_for(lambda: owner.process.exit_status is not None)
    assert not processes_in(owner.folder)
    assert owner.process.exit_status == 128 + signal.SIGINT


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a child when its parent dies")
def test_a_stop_signal_ends_everything_also_in_a_folder_whose_owner_was_killed(start_owner: StartOwner) -> None:
    first = start_owner()
    first.wait_until_ready()
    assert len(processes_in(first.folder)) > 1
    os.kill(first.process.pid, signal.SIGKILL)
    wait_for(lambda: first.process.exit_status is not None)

    second = start_owner()
    second.wait_until_ready()
    os.kill(second.process.pid, signal.SIGHUP)

    wait_for(lambda: second.process.exit_status is not None)
    assert not processes_in(second.folder)
    assert second.process.exit_status == 128 + signal.SIGHUP


@pytest.mark.anyio
async def test_the_stack_runs_for_an_ordinary_user(
    start_owner: StartOwner, folder: Path, ordinary_account: Account, ordinary_python: str
) -> None:
    (folder / "data").mkdir(mode=0o700)
    os.chown(folder / "data", ordinary_account.uid, ordinary_account.gid)

    owner = start_owner(ordinary_python, ordinary_account)
    endpoints = owner.wait_until_ready()

    assert endpoints["uid"] == pwd.getpwnam(ordinary_account.name).pw_uid
    assert {process.uids().real for process in processes_in(owner.folder)} == {ordinary_account.uid}
    connection = await asyncpg.connect(endpoints["admin_database_url"])
    assert await connection.fetchval("SELECT current_database()") == "alga"
    await connection.close()
