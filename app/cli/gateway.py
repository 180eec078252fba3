"""`alga-tenants gateway`: runs the gateway process."""

import math

import uvicorn

from app.gateway.main import create_app
from app.logging import configure_logging
from app.settings import Settings


def command() -> None:
    """Serve the REST API until SIGTERM, which lets requests under way finish."""
    settings = Settings.load()
    configure_logging(settings)
    uvicorn.run(
        create_app(settings),
        host=settings.gateway_host,
        port=settings.gateway_port,
        loop="auto",
        http="httptools",
        ws="none",
        lifespan="on",
        # Our own lines and format take the place of uvicorn's.
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_period),
    )
