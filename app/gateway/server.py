"""The gateway's HTTP server."""

import asyncio
import math
import resource
import socket
import sys

import structlog
import uvicorn

from app.gateway.app import create_app
from app.gateway.http.server.protocol import bounded_protocol
from app.gateway.operations.lookup import OperationLookup
from app.settings import Settings, split_list

log = structlog.get_logger(__name__)

# Seconds after which a thread that decodes payloads yields to the event loop. Every step of every request may have to
# wait that long, and Python's default is 5 ms.
SWITCH_INTERVAL = 0.0005
# An upper limit of open files that are no client connections.
OTHER_FILES = 500
# Seconds between checks for a second SIGINT, which skips the shutdown delay.
POLL_INTERVAL = 0.1


class GatewayServer(uvicorn.Server):
    """uvicorn's server with a drain before shutdown. Requests that wait (`Prefer: wait`) end early then."""

    def __init__(self, settings: Settings) -> None:
        self.app = create_app(settings)
        self._delay = settings.shutdown_delay
        self._max_connections = settings.max_connections
        super().__init__(
            uvicorn.Config(
                self.app,
                host=settings.gateway_host,
                port=settings.gateway_port,
                http=bounded_protocol(settings),
                ws="none",
                lifespan="on",
                # `configure_logging` replaces uvicorn's logging.
                log_config=None,
                access_log=False,
                server_header=False,
                forwarded_allow_ips=split_list(settings.forwarded_allow_ips),
                timeout_keep_alive=settings.keep_alive_timeout,
                timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_period),
            )
        )

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve in this thread until a signal."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        _allow_open_files(self._max_connections + OTHER_FILES)
        super().run(sockets)

    async def main_loop(self) -> None:
        """Serve until a signal, then report not ready and serve on for the shutdown delay."""
        await super().main_loop()
        self.app.state.probes.drain()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._delay
        while loop.time() < end and not self.force_exit:  # noqa: ASYNC110 - uvicorn only sets a flag
            await asyncio.sleep(POLL_INTERVAL)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener and let requests in progress finish within the grace period."""
        self.app.state.services[OperationLookup].stop_waiting()
        await super().shutdown(sockets)


def _allow_open_files(wanted: int) -> None:
    """Raise the process's limit of open files. At the limit not even probes could connect."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    if allowed < wanted:
        log.warning("limit of open files is below MAX_CONNECTIONS", open_files=allowed)
