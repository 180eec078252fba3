"""`alga-tenants worker`: runs the worker process."""

import asyncio

from app.logging import configure_logging
from app.settings import Settings
from app.worker.main import run_worker


def command() -> None:
    """Run the worker until SIGTERM, which lets running work finish.

    Refuses to poll, and exits 1, where the database is not as the activities need it.
    """
    settings = Settings.load()
    configure_logging(settings)
    asyncio.run(run_worker(settings))
