"""Runs the work of a command on a database, and explains to people why that can't be used."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.errors import DATABASE_ERRORS, classify
from app.cli.connection.settings import load_settings
from app.cli.console import fail
from app.cli.exit_codes import ExitCode
from app.database import DatabaseUnavailableError, gateway_engine
from app.outages import database_outage
from app.settings import Settings
from app.telemetry.logging import configure_logging

UNAVAILABLE: tuple[type[Exception], ...] = (*DATABASE_ERRORS, DatabaseUnavailableError)

ResultT = TypeVar("ResultT")


@contextmanager
def database_outages(setting: str, url: URL) -> Iterator[None]:
    """Exit with a message if the database at the URL of that setting can't be used; other errors propagate."""
    try:
        yield
    except UNAVAILABLE as error:
        diagnosis = classify(error)
        if diagnosis is not None and diagnosis.known.is_final:
            raise
        fail(str(database_outage(error, setting, url)), ExitCode.UNAVAILABLE)


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

    with database_outages("DATABASE_URL", settings.gateway_database):
        return asyncio.run(with_engine())
