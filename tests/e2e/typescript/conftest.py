"""Temporal's TypeScript client, which Alga uses, in the oldest version that Alga's own packages allow."""

import json
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from app.embedded.temporal import EmbeddedTemporal
from tests.support.servers.npm import install_packages
from tests.support.servers.program import need_program

COMMAND_TIMEOUT = 120.0

Call = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(scope="session")
def script(server_folder: Path) -> Path:
    """The client's script in a folder in which its packages are installed."""
    folder = server_folder / "typescript"
    folder.mkdir()
    install_packages(Path(__file__).parent, folder)
    shutil.copy(Path(__file__).with_name("client.mjs"), folder)
    return folder / "client.mjs"


@pytest.fixture(scope="package")
def client(script: Path, temporal: EmbeddedTemporal) -> Iterator[subprocess.Popen[str]]:
    """The running script."""
    command = [need_program("node", package="nodejs"), str(script), temporal.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - an installed program
        yield process
        # Lets it end; what follows is for one that does not respond.
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(COMMAND_TIMEOUT)
        finally:
            process.kill()


@pytest.fixture
def call(client: subprocess.Popen[str]) -> Call:
    """Return a function that runs one command of the script, and returns its `value` or its `errors`."""

    def ask(question: str) -> str:
        assert client.stdin is not None
        assert client.stdout is not None
        print(question, file=client.stdin, flush=True)
        return client.stdout.readline()

    async def run(command: str, **argument: Any) -> dict[str, Any]:
        with anyio.fail_after(COMMAND_TIMEOUT):
            line = await anyio.to_thread.run_sync(ask, json.dumps([command, argument]), abandon_on_cancel=True)
        output: dict[str, Any] = json.loads(line)
        return output

    return run
