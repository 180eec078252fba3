"""Parses PostgreSQL's protocol in transit: statements, round trips, and the time spent waiting for the server."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HEADER = 5
# The client's first messages have no type: a TLS request, which the server refuses with one byte, and the start-up.
UNTYPED_HEADER = 8
TLS_REQUEST = 80_877_103
EXECUTE, QUERY = ord("E"), ord("Q")
FLUSH = ord("H")
READY, COPY_IN = ord("Z"), ord("G")
# The response to preparing a statement, which the client waits for without ending its batch.
DESCRIBED = {ord("T"), ord("n")}
IDLE = ord("I")


@dataclass
class Transaction:
    """The cost of one transaction, or of one statement outside of any."""

    round_trips: int = 0
    statements: int = 0
    seconds: float = 0.0


class Wire:
    """One connection; calls `on_transaction` when the server has ended one. The log-in is not counted."""

    def __init__(self, on_transaction: Callable[[Transaction], None]) -> None:
        self._on_transaction = on_transaction
        self._sent = bytearray()
        self._received = bytearray()
        self._transaction = Transaction()
        self._waiting_since: float | None = None
        self._has_started = False
        self._tls_refusal_is_due = False
        self._has_logged_in = False
        self._is_flushed = False

    def sent(self, data: bytes) -> None:
        """Process data from the client."""
        if self._waiting_since is None:
            self._waiting_since = time.perf_counter()
            self._transaction.round_trips += 1
        self._sent += data
        self._skip_start()
        for kind, _ in _messages(self._sent) if self._has_started else ():
            if kind in {EXECUTE, QUERY}:
                self._transaction.statements += 1
            self._is_flushed = kind == FLUSH

    def received(self, data: bytes) -> None:
        """Process data from the server."""
        self._received += data
        if self._tls_refusal_is_due and self._received:
            del self._received[:1]
            self._tls_refusal_is_due = False
            self._end_wait()
        for kind, body in _messages(self._received):
            if kind in {READY, COPY_IN} or (self._is_flushed and kind in DESCRIBED):
                self._end_wait()
            if kind == READY and body[0] == IDLE:
                self._end_transaction()

    def _skip_start(self) -> None:
        while not self._has_started and len(self._sent) >= UNTYPED_HEADER:
            length = int.from_bytes(self._sent[:4], "big")
            if len(self._sent) < length:
                return
            if int.from_bytes(self._sent[4:8], "big") == TLS_REQUEST:
                self._tls_refusal_is_due = True
            else:
                self._has_started = True
            del self._sent[:length]

    def _end_wait(self) -> None:
        if self._waiting_since is not None:
            self._transaction.seconds += time.perf_counter() - self._waiting_since
            self._waiting_since = None

    def _end_transaction(self) -> None:
        ended, self._transaction = self._transaction, Transaction()
        if self._has_logged_in:
            self._on_transaction(ended)
        self._has_logged_in = True


def _messages(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Remove the complete messages from the buffer, and yield type and body of each."""
    at = 0
    while len(buffer) - at >= HEADER:
        end = at + 1 + int.from_bytes(buffer[at + 1 : at + HEADER], "big")
        if end > len(buffer):
            break
        yield buffer[at], bytes(buffer[at + HEADER : end])
        at = end
    del buffer[:at]
