"""`alga-tenants worker`: runs the worker process."""

import gc
import sys

from activities.alga.blueprints.yaml_files import BlueprintError
from activities.mail.rendering import MailTemplateError
from app.cli.console import fail
from app.settings import Settings
from app.telemetry.logging import configure_logging
from app.telemetry.metrics.temporal_core import BUFFER
from app.telemetry.tracing.current import traced
from app.worker.main import PollingEndedError, run_worker

if sys.platform == "win32":
    from asyncio import run
else:
    from uvloop import run


def command() -> None:
    """Run the worker until SIGTERM, which lets running activities finish.

    Waits for Temporal, for a database with the tables that activities need,
    and while workers of another service poll its task queue. Exits with 1 if
    a blueprint or a mail template is invalid, or polling fails for good.
    """
    settings = Settings.load()
    configure_logging(settings, metrics=BUFFER)
    try:
        with traced(settings, "alga-tenants-worker"):
            # Modules stay, so that no collection needs to look at them.
            gc.freeze()
            run(run_worker(settings))
    except (BlueprintError, MailTemplateError, PollingEndedError) as error:
        fail(f"alga-tenants worker: {error}")
