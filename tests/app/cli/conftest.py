"""The command line against a scripted server, within the test's process and as a separate process."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
from typer.testing import CliRunner

from app.cli import app
from tests.app.client.scripted_server import ScriptedServer, scripted_server

API_KEY = "alga_key-0123456789"


@dataclass(frozen=True)
class Ran:
    """The result of a command."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        (line,) = self.lines
        return line

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON documents on stdout, one a line."""
        return [json.loads(line) for line in self.stdout.splitlines()]


class Run(Protocol):
    """Runs `alga-tenants` with these arguments and this input."""

    def __call__(self, *arguments: str, stdin: str = "") -> Ran: ...


class Start(Protocol):
    """Starts `alga-tenants` as a process that is killed after the test."""

    def __call__(
        self, *arguments: str, stdin: int = subprocess.PIPE, stderr: int = subprocess.PIPE
    ) -> subprocess.Popen[str]: ...


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@pytest.fixture
def environment(server: ScriptedServer) -> dict[str, str]:
    return {"ALGA_TENANTS_URL": server.url, "ALGA_TENANTS_API_KEY": API_KEY}


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    def run_command(*arguments: str, stdin: str = "") -> Ran:
        result = CliRunner(env=environment).invoke(app, arguments, input=stdin, prog_name="alga-tenants")
        assert API_KEY not in result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run_command


@pytest.fixture
def run_at_terminal(environment: dict[str, str]) -> Callable[..., Ran]:
    """Run `alga-tenants` as a process whose stdin is a terminal, at which a person types a line."""

    def run_process(*arguments: str, typed: str) -> Ran:
        ours, theirs = pty.openpty()
        try:
            os.write(ours, f"{typed}\n".encode())
            ran = subprocess.run(  # noqa: S603 - our own command line
                [sys.executable, "-m", "app.cli", *arguments],
                stdin=theirs,
                capture_output=True,
                text=True,
                env=os.environ | environment,
                check=False,
            )
        finally:
            os.close(ours)
            os.close(theirs)
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    return run_process


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start_command(
        *arguments: str, stdin: int = subprocess.PIPE, stderr: int = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, "-m", "app.cli", *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=os.environ | environment,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start_command
    for process in started:
        process.kill()
        process.communicate()
