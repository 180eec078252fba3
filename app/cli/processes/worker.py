"""`alga-tenants worker`: runs the worker process."""

import sys

import typer

from activities.alga.blueprints.blueprint import BlueprintError
from app.settings import Settings
from app.telemetry.logging import configure_logging
from app.telemetry.metrics.temporal_core import BUFFER
from app.telemetry.tracing.process import traced
from app.worker.main import PollingEndedError, run_worker

if sys.platform == "win32":
    from asyncio import run
else:
    from uvloop import run


def command() -> None:
    """Run the worker until SIGTERM, which lets running work finish.

    Waits for the database and Temporal, and until the database is as the activities need it. Exits 1 where a
    blueprint is broken, or polling fails for good.
    """
    settings = Settings.load()
    configure_logging(settings, metrics=BUFFER)
    try:
        with traced(settings, "alga-tenants-worker"):
            run(run_worker(settings))
    except (BlueprintError, PollingEndedError) as error:
        typer.echo(f"alga-tenants worker: {error}", err=True)
    else:
        return
    raise typer.Exit(1)
