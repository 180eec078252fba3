"""`alga-tenants gateway`: runs the gateway process."""

import signal
import sys
from contextlib import suppress

import typer

from activities.alga.blueprints.blueprint import BlueprintError
from app.cli.exit_codes import ExitCode
from app.gateway.server import GatewayServer
from app.settings import Settings
from app.telemetry.logging import configure_logging
from app.telemetry.metrics.temporal_core import BUFFER
from app.telemetry.tracing.process import traced


def command() -> None:
    """Serve the REST API until SIGTERM, which lets requests under way finish."""
    settings = Settings.load()
    configure_logging(settings, metrics=BUFFER)
    with traced(settings, "alga-tenants-gateway"):
        _serve(settings)


def _serve(settings: Settings) -> None:
    try:
        server = GatewayServer(settings)
    except BlueprintError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.INVALID) from None
    # After an orderly end the server raises the signal that asked for it: by then it is a success.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with suppress(KeyboardInterrupt):
        server.run()
