"""Reads PostgreSQL's protocol as it passes by: what is asked, how often the server is waited for, and how long."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HEADER = 5
# The client's first messages have no type: a request for TLS, which the server refuses with one byte, and the start.
UNTYPED_HEADER = 8
TLS_REQUEST = 80_877_103
EXECUTE, QUERY = ord("E"), ord("Q")
FLUSH = ord("H")
READY, COPY_IN = ord("Z"), ord("G")
# The answer to a statement that is being prepared, which the client waits for without ending its batch.
DESCRIBED = {ord("T"), ord("n")}
IDLE = ord("I")


@dataclass
class Transaction:
    """What one transaction, or one statement outside of any, has cost."""

    round_trips: int = 0
    statements: int = 0
    seconds: float = 0.0


class Wire:
    """One connection; hands a transaction on when the server has ended it. What logging in costs isn't counted."""

    def __init__(self, hand_on: Callable[[Transaction], None]) -> None:
        self._hand_on = hand_on
        self._asking = bytearray()
        self._answering = bytearray()
        self._transaction = Transaction()
        self._waiting_since: float | None = None
        self._has_started = False
        self._tls_refusal_is_due = False
        self._has_logged_in = False
        self._is_flushed = False

    def asked(self, data: bytes) -> None:
        """The client has sent this."""
        if self._waiting_since is None:
            self._waiting_since = time.perf_counter()
            self._transaction.round_trips += 1
        self._asking += data
        self._skip_start()
        for kind, _ in _messages(self._asking) if self._has_started else ():
            if kind in {EXECUTE, QUERY}:
                self._transaction.statements += 1
            self._is_flushed = kind == FLUSH

    def answered(self, data: bytes) -> None:
        """The server has sent this."""
        self._answering += data
        if self._tls_refusal_is_due and self._answering:
            del self._answering[:1]
            self._tls_refusal_is_due = False
            self._end_wait()
        for kind, body in _messages(self._answering):
            if kind in {READY, COPY_IN} or (self._is_flushed and kind in DESCRIBED):
                self._end_wait()
            if kind == READY and body[0] == IDLE:
                self._end_transaction()

    def _skip_start(self) -> None:
        while not self._has_started and len(self._asking) >= UNTYPED_HEADER:
            length = int.from_bytes(self._asking[:4], "big")
            if len(self._asking) < length:
                return
            if int.from_bytes(self._asking[4:8], "big") == TLS_REQUEST:
                self._tls_refusal_is_due = True
            else:
                self._has_started = True
            del self._asking[:length]

    def _end_wait(self) -> None:
        if self._waiting_since is not None:
            self._transaction.seconds += time.perf_counter() - self._waiting_since
            self._waiting_since = None

    def _end_transaction(self) -> None:
        ended, self._transaction = self._transaction, Transaction()
        if self._has_logged_in:
            self._hand_on(ended)
        self._has_logged_in = True


def _messages(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take the complete messages off the buffer: type and body."""
    at = 0
    while len(buffer) - at >= HEADER:
        end = at + 1 + int.from_bytes(buffer[at + 1 : at + HEADER], "big")
        if end > len(buffer):
            break
        yield buffer[at], bytes(buffer[at + HEADER : end])
        at = end
    del buffer[:at]
