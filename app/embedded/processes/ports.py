"""Free TCP ports on the loopback address, for servers that need a port number."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from app.embedded.errors import StackError

LOOPBACK = "127.0.0.1"
ATTEMPTS = 5

StartedT = TypeVar("StartedT")


def free_port() -> int:
    """Return a port that is free and that the kernel assigns to no other process for about a minute.

    A connection closed by the server leaves the port in TIME_WAIT. The kernel then doesn't pick it for others, while
    a server that names it can still bind it.
    """
    with socket.create_server((LOOPBACK, 0)) as server:
        port: int = server.getsockname()[1]
        with socket.create_connection((LOOPBACK, port)) as client:
            server.accept()[0].close()
            client.recv(1)
        return port


def is_free(port: int) -> bool:
    """Return whether a server could listen on that port right now."""
    try:
        with socket.create_server((LOOPBACK, port)):
            return True
    except OSError:
        return False


class KeptPorts:
    """The ports of one data folder, each the same at every start unless another process has taken it.

    `say` is called with each port that had to change. Raises `StackError` if the file is damaged.
    """

    def __init__(self, file: Path, say: Callable[[str], None]) -> None:
        self._file = file
        self._say = say
        self._picked: set[int] = set()
        try:
            self._ports: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        except ValueError:
            raise StackError(f"{file} is damaged: remove it, and other ports are picked") from None

    def pick(self, name: str, default: int | None = None) -> int:
        """Return the port of the last start, else the default; a free one if that is in use or was tried already."""
        wanted = self._ports.get(name, default)
        port = wanted
        while port is None or port in self._picked or not is_free(port):
            port = free_port()
        if wanted is not None and port != wanted:
            self._say(f"port {wanted} is in use, so {name} gets port {port}")
        self._picked.add(port)
        self._ports[name] = port
        return port

    def require(self, name: str, port: int) -> int:
        """Return that port; raise `StackError` if it is in use."""
        if not is_free(port):
            raise StackError(f"port {port} is in use, so {name} can't get it: choose another port")
        self._ports[name] = port
        return port

    def keep(self) -> None:
        """Remember the ports for the next start."""
        unfinished = self._file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(self._ports))
        unfinished.replace(self._file)


def on_free_ports(start: Callable[[], StartedT]) -> StartedT:
    """Call `start` again, up to five times in all, while it fails because another process took its port."""
    for _ in range(ATTEMPTS - 1):
        try:
            return start()
        except StackError as error:
            if "address already in use" not in str(error).lower():
                raise
    return start()
