"""HTTP connections with limits on size, number and time; docs/adr/0008-uvicorn-protocol.md has the reasons."""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, ClassVar

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.problems.request_problems import (
    HeadersTooLargeError,
    MalformedRequestError,
    OverloadedError,
    RequestTimeoutError,
)
from app.gateway.http.server.connections import Connections
from app.gateway.http.server.rejections import encode_rejection
from app.settings import Settings

# Any other minor version may change the private methods that are overridden here.
UVICORN_MINOR_VERSION = "0.54"
# Seconds until a rejected connection is closed. Closing at once would reset it before the client has read the reason.
LINGER = 1.0
# Requests that wait for the response to an earlier one. uvicorn has no limit.
MAX_PIPELINED = 10
# A parsed header takes several times its bytes.
MAX_HEADERS = 100
# Bytes for a chunk's size and line ends, with room for padding.
CHUNK_FRAMING = 16
# Unread bytes of a body that are discarded after the response, to keep the connection usable.
MAX_UNREAD_BODY_BYTES = 4 * 1024 * 1024
# Incomplete headers below this size are not counted in `Connections`.
MIN_PARTIAL_BYTES = 2048
# Bytes that are read and discarded from a rejected client.
MAX_LINGERING_BYTES = 256 * 1024

log = structlog.get_logger(__name__)


class _Phase(Enum):
    HEADERS = auto()
    BODY = auto()
    REJECTED = auto()


class _LimitExceededError(Exception):
    """Stops the parser."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits. Requests that never reach the application get problem documents, too."""

    limits: ClassVar[Settings]
    open_connections: ClassVar[Connections]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._phase = _Phase.HEADERS
        self._header_bytes = self._framing_bytes = self._trailer_bytes = self._unread_bytes = 0
        self._lingering_bytes = 0
        self._is_partial = False
        self._is_too_large = False
        self._is_body_unwanted = False
        # The request in progress. `cycle` is the newest request, which may be queued.
        self._running: RequestResponseCycle | None = None
        self._pending_rejection: ProblemError | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._send_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn's own
        """Wait for the first request, or reject the connection if there are too many."""
        super().connection_made(transport)
        if self.open_connections.admit(self):
            self._expect_headers()
        elif self.open_connections.may_linger(self):
            self._reject_connection()
        else:
            self._close()

    def give_way(self, *, may_linger: bool) -> None:
        """Close this idle connection to make room."""
        if self._phase is _Phase.REJECTED or self.transport.is_closing() or not may_linger:
            self._close()
        elif self._running is not None and self._header_bytes == 0:
            # As after the keep-alive timeout.
            self.transport.close()
            self._expect_reader()
        else:
            self._reject_connection()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release what the connection holds."""
        self.open_connections.remove(self)
        self._clear_deadline()
        self._clear_send_deadline()
        self._disconnect()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse data within the limits."""
        if self._phase is _Phase.REJECTED:
            self._lingering_bytes += len(data)
            if self._lingering_bytes > MAX_LINGERING_BYTES:
                self.flow.pause_reading()
            return
        cycle = self.cycle
        if self._phase is _Phase.HEADERS:
            self._header_bytes += len(data)
            self._expect_headers()
        else:
            self._framing_bytes += len(data)
        super().data_received(data)
        self._check_incomplete_request(has_begun=self.cycle is not cycle)

    def _check_incomplete_request(self, *, has_begun: bool) -> None:
        if self._phase is _Phase.HEADERS:
            if self._header_bytes > self.limits.max_header_bytes:
                self._reject_large_headers()
            elif self._header_bytes > MIN_PARTIAL_BYTES:
                self._is_partial = True
                self.open_connections.set_partial(self, self._header_bytes)
        elif self._phase is _Phase.BODY:
            self._framing_bytes = max(0, self._framing_bytes)
            if self._framing_bytes > self.limits.max_header_bytes:
                self._reject_large_headers()
            elif self._is_body_unwanted:
                self._end()
            elif has_begun:
                # The body stays in the kernel's buffers until the application asks for it.
                self.flow.pause_reading()

    def on_message_begin(self) -> None:
        """Start the deadline for the headers."""
        super().on_message_begin()
        self._expect_headers()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header, or count a trailer."""
        if self._phase is not _Phase.HEADERS:
            self._trailer_bytes += len(name) + len(value) + 4
            if self._trailer_bytes > self.limits.max_header_bytes:
                self._stop_parser()
            return
        if len(self.headers) >= MAX_HEADERS:
            self._stop_parser()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request unless its headers are too large."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.limits.max_header_bytes:
            self._stop_parser()
        if len(self.pipeline) >= MAX_PIPELINED:
            # Earlier requests still get their responses.
            self._phase = _Phase.REJECTED
            self._clear_deadline()
            self.pipeline[0][0].keep_alive = False
            raise _LimitExceededError
        super().on_headers_complete()
        if self.expect_100_continue:
            # A client that is rejected without a 100 may send the body or not. The next bytes are ambiguous.
            self.cycle.keep_alive = False
        self._phase = _Phase.BODY
        self._header_bytes = self._framing_bytes = self._trailer_bytes = self._unread_bytes = 0
        self._is_body_unwanted = False
        if self._is_partial:
            self._is_partial = False
            self.open_connections.set_partial(self, 0)
        self.open_connections.set_idle(self, is_idle=False)
        self._set_deadline(self.limits.body_timeout, self._body_late)

    def on_chunk_complete(self) -> None:
        """Exclude the framing of a chunk from the count."""
        self._framing_bytes -= CHUNK_FRAMING

    def on_body(self, body: bytes) -> None:
        """Buffer a part of the body, or count it as unread if the response is complete."""
        self._framing_bytes -= len(body)
        if self.cycle.response_complete:
            self._unread_bytes += len(body)
            self._is_body_unwanted = self._unread_bytes > MAX_UNREAD_BODY_BYTES
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Clear the deadline. uvicorn's keep-alive timeout applies until the next request."""
        super().on_message_complete()
        self._phase = _Phase.HEADERS
        self._clear_deadline()

    def send_400_response(self, msg: str) -> None:
        """Reject a malformed request."""
        if self._is_too_large:
            self._reject_large_headers()
        else:
            self._reject(MalformedRequestError(f"Not a valid HTTP/1.1 request: {msg}"))

    def pause_writing(self) -> None:
        """Start the deadline for a client that reads too slowly."""
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        """Clear the deadline of `pause_writing`."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._clear_send_deadline()

    def on_response_complete(self) -> None:
        """Close the connection, or wait for its next request."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect_reader()
            return
        is_idle = not self._is_response_due
        self.open_connections.set_idle(self, is_idle=is_idle)
        if is_idle and self._pending_rejection is not None:
            self._send_rejection(self._pending_rejection)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection once the client has read everything."""
        super().timeout_keep_alive_handler()
        self._expect_reader()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _expect_reader(self) -> None:
        if self._send_deadline is None:
            self._send_deadline = self.loop.call_later(self.limits.send_timeout, self._close)

    def _clear_send_deadline(self) -> None:
        if self._send_deadline is not None:
            self._send_deadline.cancel()
            self._send_deadline = None

    def _expect_headers(self) -> None:
        if self._deadline is None:
            self._set_deadline(self.limits.request_header_timeout, self._headers_late)

    def _set_deadline(self, seconds: float, missed: Callable[[], None]) -> None:
        self._clear_deadline()
        self._deadline = self.loop.call_later(seconds, missed)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    @property
    def _is_response_due(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _headers_late(self) -> None:
        seconds = self.limits.request_header_timeout
        if self._is_response_due:
            # This is the next request; the response to the current one comes first.
            self._set_deadline(seconds, self._headers_late)
        else:
            self._reject(RequestTimeoutError(f"Request line and headers did not arrive within {seconds:g} s"))

    def _body_late(self) -> None:
        if self.pipeline or self.flow.read_paused:
            # The client could not send.
            self._set_deadline(self.limits.body_timeout, self._body_late)
        elif self.cycle.response_started:
            self._close()
        else:
            self._reject(RequestTimeoutError(f"The body did not arrive within {self.limits.body_timeout:g} s"))

    def _stop_parser(self) -> None:
        self._is_too_large = True
        raise _LimitExceededError

    def _reject_large_headers(self) -> None:
        self._reject(HeadersTooLargeError(self.limits.max_header_bytes, MAX_HEADERS))

    def _reject_connection(self) -> None:
        limit = self.open_connections.limit
        self._reject(OverloadedError(f"The gateway has {limit} connections; retry later"))

    def _reject(self, problem: ProblemError) -> None:
        """Send a problem after the responses to earlier requests, and close the connection."""
        self._clear_deadline()
        if self.transport.is_closing() or self._phase is _Phase.REJECTED:
            return
        log.info("request rejected", status=problem.status, problem=problem.code)
        is_in_body, self._phase = self._phase is _Phase.BODY, _Phase.REJECTED
        if is_in_body and self.pipeline:
            self.pipeline.popleft()
        elif is_in_body and self._is_response_due:
            self._disconnect()
            if self.cycle.response_started:
                self._close()
                return
            self._running = None
        if self._is_response_due:
            self._pending_rejection = problem
        else:
            self._send_rejection(problem)

    def _send_rejection(self, problem: ProblemError) -> None:
        self._pending_rejection = None
        self.transport.write(encode_rejection(problem, self.scheme or "http", self.server_state.default_headers))
        self._end()

    def _end(self) -> None:
        """Close the connection once the client has had time to read the last response."""
        self._phase = _Phase.REJECTED
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._set_deadline(LINGER, self._close)

    def _disconnect(self) -> None:
        """Make the application stop writing."""
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
            self.flow.resume_writing()

    def _close(self) -> None:
        self._disconnect()
        # `close` would wait for the client to read.
        self.transport.abort()


def bounded_protocol(settings: Settings) -> type[BoundedHttpProtocol]:
    """Return a protocol class with the limits of the settings. uvicorn instantiates it per connection."""

    class Protocol(BoundedHttpProtocol):
        limits = settings
        open_connections = Connections(settings.max_connections)

    return Protocol
