import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from app.embedded.errors import StackError
from app.embedded.processes import processes
from app.embedded.processes.processes import ChildProcess
from app.embedded.processes.progress import Progress
from tests.app.embedded.owner import ENVIRONMENT
from tests.support.servers.processes import is_running, wait_for

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"
)


def python(folder: Path, code: str) -> ChildProcess:
    command = [sys.executable, "-c", code]
    return ChildProcess(
        "child", command, log_file=folder / "child.log", env=ENVIRONMENT | {"COLOUR": "blue"}, cwd=folder
    )


def test_a_child_has_its_own_session_folder_and_environment(tmp_path: Path) -> None:
    child = python(tmp_path, "import os; print(os.getsid(0) == os.getpid(), os.getcwd(), os.environ['COLOUR'])")

    child.start()
    child.wait_for_success(timeout=30)

    assert child.log_tail() == f"True {tmp_path} blue"


def test_a_child_that_ends_before_it_is_ready_is_reported_with_its_log(tmp_path: Path) -> None:
    child = python(tmp_path, "print('no licence'); raise SystemExit(3)")
    child.start()

    with pytest.raises(StackError, match=r"child ended with status 3 before .*(?s:.*)no licence"):
        child.wait_until(lambda: False, timeout=30)


def test_a_child_that_never_gets_ready_is_reported_after_the_timeout(tmp_path: Path) -> None:
    child = python(tmp_path, STUBBORN)
    child.start()

    with pytest.raises(StackError, match="child was not ready after 0 s"):
        child.wait_until(lambda: False, timeout=0.1)

    child.stop(timeout=0)


def test_what_is_waited_for_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "NOTICE_SECONDS", 0.0)
    said: list[str] = []
    child = python(tmp_path, STUBBORN)
    child.start()
    child.wait_until(lambda: len(said) > 1, timeout=60, say=said.append)
    assert all(line.startswith("still waiting for child, after ") for line in said)
    child.stop(timeout=0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the processor time")
def test_a_child_that_does_nothing_is_reported_before_the_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = python(tmp_path, STUBBORN)
    child.start()
    child.wait_until(lambda: child.log_tail() == "up", timeout=60)
    monkeypatch.setattr(processes, "MAX_IDLE_SECONDS", 1.0)
    with pytest.raises(StackError, match="child was not ready, and has done nothing for 1 s"):
        child.wait_until(lambda: False, timeout=600)
    child.stop(timeout=0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the processor time")
def test_output_and_processor_time_are_progress(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    progress = Progress(os.getpid(), log)
    progress.idle_seconds()
    log.write_text("progress")
    assert progress.idle_seconds() < 0.001, "the count begins anew"
    used = time.process_time()
    while time.process_time() - used < 0.1:
        pass
    assert progress.idle_seconds() < 0.001


def test_a_child_that_ignores_the_stop_signal_is_killed(tmp_path: Path) -> None:
    child = python(tmp_path, STUBBORN)
    child.start()
    child.wait_until(lambda: child.log_tail() == "up", timeout=30)

    child.stop(timeout=0.1)

    assert child.exit_status == -signal.SIGKILL
    assert not is_running(child.pid)


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    child = ChildProcess("ghost", ["/nowhere/ghost"], log_file=tmp_path / "ghost.log", env={}, cwd=tmp_path)
    child.start()

    with pytest.raises(StackError, match="cannot run /nowhere/ghost"):
        child.wait_for_success(timeout=30)


def test_stopping_a_child_that_never_started_does_nothing(tmp_path: Path) -> None:
    child = python(tmp_path, "")

    child.stop()

    with pytest.raises(RuntimeError, match="has not been started"):
        _ = child.pid


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a child when its parent dies")
def test_a_child_dies_when_its_parent_is_killed(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from app.embedded.processes.processes import ChildProcess
child = ChildProcess('grandchild', ['/bin/sleep', '99'], log_file=Path('log'), env={}, cwd=Path('.'))
child.start()
print(child.pid, flush=True)
child.wait_until(lambda: False, timeout=99)
"""
    parent = python(tmp_path, code)
    parent.start()
    parent.wait_until(lambda: parent.log_tail().isdigit(), timeout=30)
    grandchild = int(parent.log_tail())
    wait_for(lambda: psutil.Process(grandchild).name() == "sleep")

    os.kill(parent.pid, signal.SIGKILL)

    wait_for(lambda: not is_running(grandchild))
    parent.stop()
