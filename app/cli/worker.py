"""`alga-tenants worker`: runs the worker process."""

import asyncio

import typer

from activities.alga.blueprints import BlueprintError
from activities.database_errors import DATABASE_ERRORS
from app.logging import configure_logging
from app.settings import Settings
from app.temporal.errors import TemporalUnavailableError
from app.worker.main import UnfitDatabaseError, run_worker


def command() -> None:
    """Run the worker until SIGTERM, which lets running work finish.

    Refuses to poll, and exits 1, where the database is not as the activities need it.
    """
    settings = Settings.load()
    configure_logging(settings)
    try:
        asyncio.run(run_worker(settings))
    except (BlueprintError, UnfitDatabaseError, TemporalUnavailableError) as error:
        typer.echo(f"alga-tenants worker: {error}", err=True)
    except DATABASE_ERRORS as error:
        typer.echo(f"alga-tenants worker: the database can't be reached: {type(error).__name__}", err=True)
    else:
        return
    raise typer.Exit(1)
