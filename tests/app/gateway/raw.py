"""Connections on which a test writes what it likes."""

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
class Answer:
    """What came back for one request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


class RawConnection:
    """A connection whose answers are read one by one."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._reader = connection.makefile("rb")
        self._poll = select.poll()
        self._poll.register(connection, select.POLLRDHUP)

    def send(self, *pieces: bytes) -> None:
        """Send all of it, also to one that listens no more."""
        try:
            for piece in pieces:
                self._socket.sendall(piece)
        except ConnectionError:
            return

    def answer(self) -> Answer:
        """The next one; it must tell its length."""
        status = int(self._reader.readline().split()[1])
        lines = iter(self._reader.readline, b"\r\n")
        headers = dict(line.decode().strip().lower().split(": ", 1) for line in lines)
        return Answer(status, headers, self._reader.read(int(headers["content-length"])))

    def rest(self) -> bytes:
        """What comes until the other side says no more."""
        received = b""
        try:
            while piece := self._reader.read1(1_000_000):
                received += piece
        except ConnectionError:
            return received
        return received

    def has_answer_within(self, seconds: float) -> bool:
        """Whether something comes in that time."""
        self._socket.settimeout(seconds)
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except TimeoutError:
            return False
        finally:
            self._socket.settimeout(PATIENCE)

    @property
    def is_over(self) -> bool:
        """Whether the other side has said its last, or reset the connection; what it said can still be read."""
        events = {event for _, event in self._poll.poll(0)}
        return any(event & (select.POLLRDHUP | select.POLLHUP | select.POLLERR) for event in events)

    def close_socket(self) -> None:
        """Go away in an orderly way."""
        self._reader.close()
        self._socket.close()

    def reset(self) -> None:
        """Go away at once, and let the other side know by a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_socket()

    def close(self) -> None:
        self._reader.close()


@contextmanager
def connected(gateway: Listening) -> Iterator[RawConnection]:
    """A connection to the gateway."""
    parts = urlsplit(gateway.url)
    assert parts.hostname is not None
    assert parts.port is not None
    address = (parts.hostname, parts.port)
    with socket.create_connection(address, timeout=PATIENCE) as connection, closing(RawConnection(connection)) as raw:
        yield raw


def assert_raw_problem(connection: RawConnection, status: int, code: str) -> None:
    """A problem document comes, and then the end of the connection."""
    answer = connection.answer()
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.headers["connection"] == "close"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.document["code"] == code
    assert answer.document["requestId"] == answer.headers["x-request-id"]
    assert connection.rest() == b""
