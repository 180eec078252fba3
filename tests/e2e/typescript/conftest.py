"""Temporal's TypeScript client, which Alga uses, in the oldest version that Alga's own packages allow."""

import json
import shutil
from collections.abc import Awaitable, Callable
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


@pytest.fixture
def call(script: Path, temporal: EmbeddedTemporal) -> Call:
    """Return a function that runs one command of the script, and returns its `value` or its `errors`."""
    node = need_program("node", package="nodejs")

    async def run(command: str, **argument: Any) -> dict[str, Any]:
        with anyio.fail_after(COMMAND_TIMEOUT):
            done = await anyio.run_process(
                [node, str(script), temporal.address, command, json.dumps(argument)], check=False
            )
        assert done.returncode == 0, done.stderr.decode()
        output: dict[str, Any] = json.loads(done.stdout)
        return output

    return run
