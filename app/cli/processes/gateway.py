"""`alga-tenants gateway`: runs the gateway process."""

import gc
import signal
import sys
from contextlib import suppress

from activities.alga.blueprints.yaml_files import BlueprintError
from app.cli.console import fail
from app.cli.exit_codes import ExitCode
from app.gateway.server import GatewayServer
from app.settings import Settings
from app.telemetry.logging import configure_logging
from app.telemetry.metrics.temporal_core import BUFFER
from app.telemetry.tracing.current import traced


def command() -> None:
    """Serve the REST API until SIGTERM, which lets running requests finish."""
    settings = Settings.load()
    configure_logging(settings, metrics=BUFFER)
    with traced(settings, "alga-tenants-gateway"):
        try:
            server = GatewayServer(settings)
        except BlueprintError as error:
            fail(f"alga-tenants gateway: {error}", ExitCode.INVALID)
        # After a graceful shutdown the server raises the signal again, which then means success.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with suppress(KeyboardInterrupt):
            # Modules stay, so that no collection needs to look at them.
            gc.freeze()
            server.run()
