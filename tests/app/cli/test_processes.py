"""Behaviour that shows only in a separate process: signals, terminals, arguments, imports."""

import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.cli.exit_codes import ExitCode
from tests.app.cli.conftest import Run, Start
from tests.app.cli.tenants.test_create import OPTIONS
from tests.app.client.scripted_server import OPERATION_PATH, WORKFLOW_ID, Reply, ScriptedServer, document
from tests.support.servers.processes import wait_for

LATER = {"Retry-After": "60"}
PASSWORD = "unmistakable-horse"
LOCAL_MODES = 3


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Open a pseudo-terminal; yield our end, and the one for a process."""
    ours, theirs = pty.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


def rest(ours: int, theirs: int) -> bytes:
    """Return the rest of the output to a pseudo-terminal that no process uses any more."""
    os.write(theirs, b"\0")
    shown = b""
    while not shown.endswith(b"\0"):
        shown += os.read(ours, 4096)
    return shown


def test_ctrl_c_leaves_the_operation_running_and_says_so(server: ScriptedServer, start: Start) -> None:
    server.script("POST", "/tenants", Reply(202, document("queued", temporaryPassword="made-up")))
    server.script("GET", OPERATION_PATH, Reply(200, document(), LATER))
    process = start("create", *OPTIONS, "--json")
    assert process.stderr is not None
    progress = ""
    while "15 %" not in progress:
        progress = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == ExitCode.INTERRUPTED
    assert json.loads(stdout) == document(temporaryPassword="made-up")
    assert f"alga-tenants watch {WORKFLOW_ID}" in stderr
    assert f"alga-tenants cancel {WORKFLOW_ID}" in stderr
    assert "Traceback" not in stderr


def test_ctrl_c_before_a_response_explains_how_to_repeat_the_request(server: ScriptedServer, start: Start) -> None:
    server.script("POST", "/tenants", Reply(202, document(), delay=2))
    process = start("create", *OPTIONS)
    server.wait_for_requests(1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (ExitCode.INTERRUPTED, "")
    assert f"--idempotency-key {server.received[0].headers['idempotency-key']}" in stderr


def test_a_password_is_in_neither_the_arguments_nor_the_output(server: ScriptedServer, start: Start) -> None:
    server.script("POST", "/tenants", Reply(202, document()))
    server.script("GET", OPERATION_PATH, Reply(200, document(), LATER))
    process = start("create", *OPTIONS, "--admin-password-stdin")
    assert process.stdin is not None
    process.stdin.write(f"{PASSWORD}\n")
    process.stdin.flush()
    server.wait_for_requests(2)
    arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    environment = Path(f"/proc/{process.pid}/environ").read_bytes()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert server.received[0].body["adminUser"]["password"] == PASSWORD
    assert PASSWORD not in stdout + stderr
    assert PASSWORD.encode() not in arguments + environment


@pytest.mark.parametrize("option", ["--admin-password-prompt", "--admin-password-stdin"])
def test_a_typed_password_is_not_echoed(server: ScriptedServer, start: Start, option: str) -> None:
    server.script("POST", "/tenants", Reply(202, document()))
    with terminal() as (ours, theirs):
        process = start("create", *OPTIONS, option, "--no-wait", stdin=theirs, stderr=theirs)
        shown = b""
        for prompt in (b"Password:", b"confirmation:"):
            while prompt not in shown:
                shown += os.read(ours, 1024)
            wait_for(lambda: not termios.tcgetattr(ours)[LOCAL_MODES] & termios.ECHO)
            os.write(ours, f"{PASSWORD}\n".encode())
        process.wait(timeout=20)
        shown += rest(ours, theirs)
    assert process.returncode == 0
    assert server.received[0].body["adminUser"]["password"] == PASSWORD
    assert PASSWORD.encode() not in shown


def test_a_progress_bar_on_the_terminal_leaves_stdout_to_json(server: ScriptedServer, start: Start) -> None:
    changes = [document(progress=5), document("completed")]
    server.script("GET", OPERATION_PATH, *(Reply(200, change, {"Retry-After": "0"}) for change in changes))
    with terminal() as (ours, theirs):
        process = start("watch", WORKFLOW_ID, "--json", stderr=theirs)
        stdout, _ = process.communicate(timeout=20)
        bar = rest(ours, theirs).decode()
    assert process.returncode == 0
    assert [json.loads(line) for line in stdout.splitlines()] == changes
    assert "━" in bar
    assert "100 %" in bar


@pytest.mark.parametrize("arguments", [("--help",), ("status", "--help")])
def test_help_imports_no_server(arguments: tuple[str, ...]) -> None:
    program = (
        "import sys, app.cli\n"
        f"sys.argv[1:] = {arguments!r}\n"
        "try:\n    app.cli.main()\nfinally:\n"
        "    print({'sqlalchemy', 'temporalio', 'fastapi'} & sys.modules.keys(), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert "Usage: alga-tenants" in ran.stdout
    assert ran.stderr == "set()\n"


def test_the_help_lists_the_exit_statuses(run: Run) -> None:
    for arguments in (("--help",), ("watch", "--help")):
        text = run(*arguments).stdout
        for code in ExitCode:
            assert f"{code:>3}  {code.meaning}" in text
