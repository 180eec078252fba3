"""`alga-tenants gateway`: runs the gateway process."""

from contextlib import suppress

from app.gateway.server import GatewayServer
from app.logging import configure_logging
from app.settings import Settings


def command() -> None:
    """Serve the REST API until SIGTERM, which lets requests under way finish."""
    settings = Settings.load()
    configure_logging(settings)
    server = GatewayServer(settings)
    # After an orderly end the server raises the signal that asked for it.
    with suppress(KeyboardInterrupt):
        server.run()
