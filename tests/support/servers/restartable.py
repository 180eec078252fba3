"""Servers that tests kill and restart on the same port, so that clients can reconnect."""

import signal
from pathlib import Path

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.ports import free_port
from app.embedded.server import EmbeddedServer
from app.embedded.temporal import EmbeddedTemporal


def kill(server: EmbeddedServer) -> None:
    """End a server with SIGKILL; `start` starts it again."""
    server.process.send_signal(signal.SIGKILL)
    # Waits for its end, and unlocks its folder.
    server.stop()


class RestartablePostgres(EmbeddedPostgres):
    """PostgreSQL on a fixed port, whose commits survive a kill of the server, but not of the machine."""

    def __init__(self, data_dir: Path) -> None:
        port = free_port()
        settings = {"synchronous_commit": "on", "full_page_writes": "on"}
        super().__init__(data_dir, durable=False, settings=settings, pick_port=lambda: port)


class RestartableTemporal(EmbeddedTemporal):
    """Temporal on disk, on a fixed port; it deletes histories at once when asked to."""

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        port = free_port()
        super().__init__(data_dir, ui=False, durable=durable, pick_port=lambda: port)

    def _options(self) -> list[str | Path]:
        # Temporal deletes only workflows up to its queues' acknowledged position, which it updates twice a minute.
        quickly = 'history.transferProcessorUpdateAckInterval="200ms"'
        return [*super()._options(), "--dynamic-config-value", quickly]
