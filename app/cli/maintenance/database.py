"""Runs the work of a command on the gateway's database."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from app.cli.connection.settings import load_settings
from app.cli.console import fail
from app.cli.exit_codes import ExitCode
from app.database import DatabaseUnavailableError, database_errors, gateway_engine
from app.settings import Settings
from app.telemetry.logging import configure_logging

ResultT = TypeVar("ResultT")


def run_on_database(work: Callable[[AsyncEngine, Settings], Awaitable[ResultT]], *, as_json: bool) -> ResultT:
    """Return the result of the work; exit with a message if the database is unavailable."""
    settings = load_settings(Settings, as_json=as_json)
    # Warnings are for the logs of processes: what fails here is said once, below, and never on stdout.
    configure_logging(settings.model_copy(update={"log_level": "error"}), sys.stderr)

    async def with_engine() -> ResultT:
        engine = gateway_engine(settings)
        try:
            return await work(engine, settings)
        finally:
            await engine.dispose()

    try:
        with database_errors():
            return asyncio.run(with_engine())
    except DatabaseUnavailableError as error:
        fail(str(error), ExitCode.UNAVAILABLE)
