"""The gateway's HTTP server."""

import math
import socket

import uvicorn

from app.gateway.main import create_app
from app.settings import Settings


class GatewayServer(uvicorn.Server):
    """A server that, when it is told to end, doesn't keep those waiting who asked it to wait."""

    def __init__(self, settings: Settings) -> None:
        self.app = create_app(settings)
        super().__init__(
            uvicorn.Config(
                self.app,
                host=settings.gateway_host,
                port=settings.gateway_port,
                http="httptools",
                ws="none",
                lifespan="on",
                # Our own lines and format take the place of uvicorn's.
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_period),
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and let requests under way finish within the grace period."""
        self.app.state.services.statuses.stop_waiting()
        await super().shutdown(sockets)
