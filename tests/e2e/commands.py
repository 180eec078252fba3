"""Commands of the operator, run in this process with the settings of an installation."""

import json
from functools import partial
from typing import Any

import anyio
from typer.testing import CliRunner, Result

from app.cli import app
from tests.e2e.conftest import Service

NEEDS_ATTENTION = 9


async def run_command(service: Service, *arguments: str, **variables: str) -> Result:
    """Return how the command ended, and what it printed; `variables` are further ones of its environment."""
    runner = CliRunner(env={**service.environment, "COLUMNS": "200", **variables})
    return await anyio.to_thread.run_sync(partial(runner.invoke, app, arguments))


async def reconcile(service: Service, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Compare operations with Temporal; return the exit status, and the output for programs."""
    ran = await run_command(service, "reconcile", "--json", *arguments)
    assert ran.exit_code in {0, NEEDS_ATTENTION}, ran.output
    response: dict[str, Any] = json.loads(ran.stdout)
    return ran.exit_code, response
