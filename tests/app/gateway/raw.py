"""Raw connections to a gateway."""

import json
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from tests.app.gateway.server import PATIENCE


class Listening(Protocol):
    """A gateway with a port."""

    @property
    def url(self) -> str: ...


@dataclass(frozen=True)
class RawResponse:
    """The response to one request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


class RawConnection:
    """A connection that sends any bytes and reads responses one by one."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._reader = connection.makefile("rb")
        self._poll = select.poll()
        self._poll.register(connection, select.POLLRDHUP)

    def send(self, *pieces: bytes) -> None:
        """Send the pieces, even if the connection is closed."""
        try:
            for piece in pieces:
                self._socket.sendall(piece)
        except ConnectionError:
            return

    def read_response(self) -> RawResponse:
        """Return the next response, which must have a Content-Length."""
        status = int(self._reader.readline().split()[1])
        lines = iter(self._reader.readline, b"\r\n")
        headers = dict(line.decode().strip().lower().split(": ", 1) for line in lines)
        return RawResponse(status, headers, self._reader.read(int(headers["content-length"])))

    def rest(self) -> bytes:
        """Return everything until the end of the connection."""
        received = b""
        try:
            while piece := self._reader.read1(1_000_000):
                received += piece
        except ConnectionError:
            return received
        return received

    def has_response_within(self, seconds: float) -> bool:
        """Return whether data arrives in that time."""
        self._socket.settimeout(seconds)
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except TimeoutError:
            return False
        finally:
            self._socket.settimeout(PATIENCE)

    @property
    def is_over(self) -> bool:
        """Whether the gateway has closed or reset the connection. Received data can still be read."""
        events = {event for _, event in self._poll.poll(0)}
        return any(event & (select.POLLRDHUP | select.POLLHUP | select.POLLERR) for event in events)

    def close_socket(self) -> None:
        """Close the connection."""
        self._reader.close()
        self._socket.close()

    def reset(self) -> None:
        """Reset the connection."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_socket()

    def close(self) -> None:
        self._reader.close()


def creation_head(api_key: str, headers: bytes) -> bytes:
    """Return the head of a request that creates a tenant."""
    return b"POST /tenants HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-API-Key: %b\r\n%b\r\n\r\n" % (
        api_key.encode(),
        headers,
    )


@contextmanager
def connected(gateway: Listening) -> Iterator[RawConnection]:
    """Open a connection to the gateway."""
    parts = urlsplit(gateway.url)
    assert parts.hostname is not None
    assert parts.port is not None
    address = (parts.hostname, parts.port)
    with socket.create_connection(address, timeout=PATIENCE) as connection, closing(RawConnection(connection)) as raw:
        yield raw


def assert_raw_problem(connection: RawConnection, status: int, code: str) -> None:
    """Assert that a problem document arrives and the connection ends."""
    response = connection.read_response()
    assert (response.status, response.headers["content-type"]) == (status, "application/problem+json")
    assert response.headers["connection"] == "close"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.document["code"] == code
    assert response.document["requestId"] == response.headers["x-request-id"]
    assert connection.rest() == b""
