"""The command line against the running service, whose archives are in a folder or in a bucket."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import structlog
from obstore.store import S3Store
from typer.testing import CliRunner

from app.cli import app
from tests.e2e.conftest import PATIENCE, Service
from tests.e2e.in_process import gateway_in_process, worker_in_process
from tests.support.servers.s3 import S3Server

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@dataclass(frozen=True)
class Ran:
    """The result of a command."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document on stdout."""
        document: dict[str, Any] = json.loads(self.stdout)
        return document


@dataclass(frozen=True)
class CommandLine:
    """Runs `alga-tenants` with a key for the gateway at `url`."""

    url: str
    key: str

    async def run(self, *arguments: str, key: str | None = None) -> Ran:
        # A gateway or a worker in this process must not log to the output of the command.
        structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stdout))
        runner = CliRunner(env=self._environment(key))
        result = await anyio.to_thread.run_sync(partial(runner.invoke, app, arguments, prog_name="alga-tenants"))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return Ran(result.exit_code, result.stdout, result.stderr)

    async def shown_at(self, columns: int, *arguments: str) -> list[str]:
        """Return the lines that a terminal of that width shows."""
        ours, theirs = pty.openpty()
        environment = {**os.environ, **self._environment(), "COLUMNS": str(columns), "TERM": "dumb"}
        command = [sys.executable, "-m", "app.cli", *arguments]
        shown = await anyio.to_thread.run_sync(_read_terminal, ours, theirs, command, environment)
        return shown.replace("\r\n", "\n").splitlines()

    def _environment(self, key: str | None = None) -> dict[str, str]:
        return {"ALGA_TENANTS_URL": self.url, "ALGA_TENANTS_API_KEY": key or self.key}


@pytest.fixture(scope="module")
def command_line(service: Service) -> CommandLine:
    """The command line of an installation whose archives are in a folder."""
    return CommandLine(service.installation.url, service.installation.api_key)


@dataclass(frozen=True)
class Bucket:
    """An S3 bucket in which a gateway keeps archives, and the command line with a key for that gateway."""

    name: str
    environment: dict[str, str]
    command_line: CommandLine

    @property
    def store(self) -> S3Store:
        """Direct access to the bucket."""
        return S3Store(
            self.name,
            endpoint=self.environment["AWS_ENDPOINT_URL"],
            access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            region=self.environment["AWS_REGION"],
            client_options={"allow_http": True},
        )


@pytest.fixture
async def bucket(service: Service, command_line: CommandLine, s3: S3Server, tmp_path: Path) -> AsyncIterator[Bucket]:
    """A bucket of a gateway and a worker, which have its credentials in files."""
    for name in CREDENTIALS:
        (tmp_path / name).write_text(s3.environment[name])
    settings = {name: value for name, value in s3.environment.items() if name not in CREDENTIALS}
    name = s3.new_bucket()
    settings |= {"EXPORT_URL": f"s3://{name}/kept", "SECRETS_DIR": str(tmp_path)}
    async with (
        worker_in_process(service, **settings) as queue,
        gateway_in_process(service, TEMPORAL_TASK_QUEUE=queue, **settings) as gateway,
    ):
        yield Bucket(name, s3.environment, CommandLine(gateway.url, command_line.key))


def _read_terminal(ours: int, theirs: int, command: list[str], environment: dict[str, str]) -> str:
    """Return everything that a command writes to a terminal."""
    try:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
        )
        os.close(theirs)
        content = b""
        try:
            while chunk := os.read(ours, 1 << 16):
                content += chunk
        except OSError:
            # The other end was closed.
            pass
        assert process.wait(PATIENCE) == 0, content.decode()
        return content.decode()
    finally:
        os.close(ours)
