"""The open connections of a server. Idle ones are closed if there are too many."""

from typing import Protocol

# Bytes of incomplete request lines and headers on all connections.
MAX_PARTIAL_BYTES = 16 * 1024 * 1024
# Rejected connections that stay open until their clients have read the reason.
MAX_LINGERING = 100


class Connection(Protocol):
    """An open connection."""

    def give_way(self, *, may_linger: bool) -> None:
        """Close, to make room."""


class Connections:
    """The open connections, and those without a request in progress, longest idle first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._open: set[Connection] = set()
        self._idle: dict[Connection, None] = {}
        self._lingering: set[Connection] = set()
        self._partial: dict[Connection, int] = {}
        self._partial_bytes = 0

    def admit(self, connection: Connection) -> bool:
        """Add a connection; False if there are too many.

        Closes the connection that has been idle for longest, so that idle clients never keep others out.
        """
        if len(self._open) >= self.limit:
            if not self._idle:
                return False
            self._give_way(next(iter(self._idle)))
        self._open.add(connection)
        self._idle[connection] = None
        return True

    def may_linger(self, connection: Connection) -> bool:
        """Return whether a rejected connection may stay open until its client has read the response."""
        if len(self._lingering) >= MAX_LINGERING:
            return False
        self._lingering.add(connection)
        return True

    def set_idle(self, connection: Connection, *, is_idle: bool) -> None:
        """Record whether the connection has a request in progress."""
        if not is_idle:
            self._idle.pop(connection, None)
        elif connection in self._open:
            self._idle.setdefault(connection)

    def set_partial(self, connection: Connection, size: int) -> None:
        """Record the size of incomplete headers. If their sum is too large, close the oldest such connections."""
        self._partial_bytes += size - self._partial.get(connection, 0)
        if size:
            self._partial[connection] = size
        else:
            self._partial.pop(connection, None)
        while self._partial_bytes > MAX_PARTIAL_BYTES:
            self._give_way(next(iter(self._partial)))

    def _give_way(self, connection: Connection) -> None:
        self.remove(connection)
        connection.give_way(may_linger=self.may_linger(connection))

    def remove(self, connection: Connection) -> None:
        """Forget a connection."""
        self._partial_bytes -= self._partial.pop(connection, 0)
        self._open.discard(connection)
        self._lingering.discard(connection)
        self._idle.pop(connection, None)
