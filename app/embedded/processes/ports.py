"""Free TCP ports on the loopback address, for servers that want to be told their port."""

import socket
from collections.abc import Callable
from typing import TypeVar

from app.embedded.errors import StackError

LOOPBACK = "127.0.0.1"
ATTEMPTS = 5

StartedT = TypeVar("StartedT")


def free_port() -> int:
    """A port that nobody listens on and that the kernel gives nobody else for about a minute.

    A connection that is closed from the server's side leaves the port in TIME_WAIT: the kernel then doesn't pick
    it for others, while a server that names it can still bind it.
    """
    with socket.create_server((LOOPBACK, 0)) as server:
        port: int = server.getsockname()[1]
        with socket.create_connection((LOOPBACK, port)) as client:
            server.accept()[0].close()
            client.recv(1)
        return port


def is_free(port: int) -> bool:
    """Whether a server of ours could listen on that port right now."""
    try:
        with socket.create_server((LOOPBACK, port)):
            return True
    except OSError:
        return False


def on_free_ports(start: Callable[[], StartedT]) -> StartedT:
    """Call `start` until it doesn't fail for a port that another process took in between, five times at most."""
    for _ in range(ATTEMPTS - 1):
        try:
            return start()
        except StackError as error:
            if "address already in use" not in str(error).lower():
                raise
    return start()
