"""Free TCP ports on the loopback address, for servers that need a port number."""

import socket
from collections.abc import Callable
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


def on_free_ports(start: Callable[[], StartedT]) -> StartedT:
    """Call `start` again, up to five times in all, while it fails because another process took its port."""
    for _ in range(ATTEMPTS - 1):
        try:
            return start()
        except StackError as error:
            if "address already in use" not in str(error).lower():
                raise
    return start()
