"""Servers that tests kill and start again: each keeps its port, so that who was connected finds it again."""

import signal
from pathlib import Path

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.ports import free_port
from app.embedded.server import EmbeddedServer
from app.embedded.temporal import EmbeddedTemporal


def kill(server: EmbeddedServer) -> None:
    """End a server with SIGKILL; `start` starts it again."""
    server.process.send_signal(signal.SIGKILL)
    # Waits for its end, and gives back its folder.
    server.stop()


class RestartablePostgres(EmbeddedPostgres):
    """PostgreSQL on disk, on one port for its whole life."""

    def __init__(self, data_dir: Path) -> None:
        port = free_port()
        super().__init__(data_dir, pick_port=lambda: port)


class RestartableTemporal(EmbeddedTemporal):
    """Temporal on disk and on one port for its whole life, which deletes histories as soon as it is told to."""

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        port = free_port()
        super().__init__(data_dir, ui=False, durable=durable, pick_port=lambda: port)

    def _options(self) -> list[str | Path]:
        # It deletes only what its queues have seen, and notes once in half a minute how far they have come.
        quickly = 'history.transferProcessorUpdateAckInterval="200ms"'
        return [*super()._options(), "--dynamic-config-value", quickly]
