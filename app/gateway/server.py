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
from app.gateway.operations.statuses import Statuses
from app.settings import Settings, split_list

log = structlog.get_logger(__name__)

# Seconds after which a thread that decodes payloads gives way to the event loop. Python's own 5 ms add up, because
# each step of each request may have to wait for them.
SWITCH_INTERVAL = 0.0005
# What a gateway has open besides its clients' connections, generously.
OTHER_FILES = 500
# Seconds between two looks at whether somebody has no patience, and sends a second SIGINT.
TICK = 0.1


class GatewayServer(uvicorn.Server):
    """A server that, when it is told to end, doesn't keep those waiting who asked it to wait."""

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
                # Our own lines and format take the place of uvicorn's.
                log_config=None,
                access_log=False,
                server_header=False,
                forwarded_allow_ips=split_list(settings.forwarded_allow_ips),
                timeout_keep_alive=settings.keep_alive_timeout,
                timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_period),
            )
        )

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve in this thread until told to end."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        _allow_open_files(self._max_connections + OTHER_FILES)
        super().run(sockets)

    async def main_loop(self) -> None:
        """Serve until told to end; then say so to whoever asks for readiness, and serve on for the delay."""
        await super().main_loop()
        self.app.state.probes.drain()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._delay
        while loop.time() < end and not self.force_exit:  # noqa: ASYNC110 - uvicorn only sets a flag
            await asyncio.sleep(TICK)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and let requests under way finish within the grace period."""
        self.app.state.services[Statuses].stop_waiting()
        await super().shutdown(sockets)


def _allow_open_files(wanted: int) -> None:
    """Raise the process's own limit of open files; at the limit no connection is accepted, not even a probe's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    if allowed < wanted:
        log.warning("the limit of open files is below MAX_CONNECTIONS", open_files=allowed)
