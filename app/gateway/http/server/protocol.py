"""Bounds what a connection may cost before and after the application sees its requests.

uvicorn's own protocol limits neither headers nor the time a request takes to arrive, and rejects malformed HTTP in
plain text. docs/adr/0008-uvicorn-protocol.md says why a private class is extended.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, ClassVar
from uuid import uuid4

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.gateway.http.problems.problem import MEDIA_TYPE, ProblemError
from app.gateway.http.problems.request_problems import (
    HeadersTooLargeError,
    MalformedRequestError,
    OverloadedError,
    RequestTimeoutError,
)
from app.gateway.http.request_context import REQUEST_ID_HEADER
from app.gateway.http.server.connections import Connections
from app.gateway.http.server.security_headers import security_headers
from app.settings import Settings

# The methods that are overridden are private, so that any other minor version may change them.
UVICORN_MINOR_VERSION = "0.54"
# A refused client may still be sending; closing at once would reset the connection before it reads why. Seconds.
LINGER = 1.0
# Requests that wait for the response to an earlier one. uvicorn keeps them all.
MAX_PIPELINED = 10
# Each costs several times its bytes once it is parsed.
MAX_HEADERS = 100
# A chunk's size and line ends, with room for clients that pad them.
CHUNK_FRAMING = 16
# What is thrown away of a body after its response, so that the connection can be used again.
MAX_UNREAD_BODY_BYTES = 4 * 1024 * 1024
# Smaller ones are not worth the count: a request in two pieces, or the beginning of the next one.
MIN_PARTIAL_BYTES = 2048
# What is read and thrown away of a client that has been refused. Without a limit, reading would be all we do.
MAX_LINGERING_BYTES = 256 * 1024

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits in bytes and seconds."""

    header_bytes: int
    header_timeout: float
    body_timeout: float
    send_timeout: float


class _Phase(Enum):
    HEADERS = auto()
    BODY = auto()
    REFUSED = auto()


class _RefusedError(Exception):
    """Stops the parser once a limit is exceeded."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits, and with problem documents for requests that never reach the application."""

    limits: ClassVar[ConnectionLimits]
    open_connections: ClassVar[Connections]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._phase = _Phase.HEADERS
        self._header_bytes = 0
        self._framing_bytes = 0
        self._trailer_bytes = 0
        self._unread_bytes = 0
        self._lingering_bytes = 0
        self._is_partial = False
        self._is_too_large = False
        self._is_body_unwanted = False
        # The request that is worked on; `cycle` is the newest one, which may have to wait for it.
        self._running: RequestResponseCycle | None = None
        self._pending_refusal: ProblemError | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._send_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn's own
        """Start waiting for the first request."""
        super().connection_made(transport)
        if self.open_connections.admit(self):
            self._expect_headers()
        elif self.open_connections.may_linger(self):
            self._refuse_connection()
        else:
            self._close()

    def give_way(self, *, may_linger: bool) -> None:
        """Close this idle connection to make room."""
        if self._phase is _Phase.REFUSED or self.transport.is_closing() or not may_linger:
            self._close()
        elif self._running is not None and self._header_bytes == 0:
            # Like one that has been idle for too long.
            self.transport.close()
            self._expect_reader()
        else:
            self._refuse_connection()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up."""
        self.open_connections.remove(self)
        self._clear_deadline()
        self._clear_send_deadline()
        self._disconnect()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse data within the limits."""
        if self._phase is _Phase.REFUSED:
            self._linger(data)
            return
        phase, cycle = self._phase, self.cycle
        if phase is _Phase.HEADERS:
            self._header_bytes += len(data)
            self._expect_headers()
        elif phase is _Phase.BODY:
            self._framing_bytes += len(data)
        super().data_received(data)
        if self._is_in(_Phase.HEADERS):
            self._check_headers()
        elif self._is_in(_Phase.BODY):
            self._check_body(is_new=self.cycle is not cycle)

    def _is_in(self, phase: _Phase) -> bool:
        return self._phase is phase

    def _linger(self, data: bytes) -> None:
        self._lingering_bytes += len(data)
        if self._lingering_bytes > MAX_LINGERING_BYTES:
            self.flow.pause_reading()

    def _check_headers(self) -> None:
        """Check a request with incomplete headers."""
        if self._header_bytes > self.limits.header_bytes:
            self._refuse_large_headers()
        elif self._header_bytes > MIN_PARTIAL_BYTES:
            self._is_partial = True
            self.open_connections.set_partial(self, self._header_bytes)

    def _check_body(self, *, is_new: bool) -> None:
        """Check a request with an incomplete body."""
        self._framing_bytes = max(0, self._framing_bytes)
        if self._framing_bytes > self.limits.header_bytes:
            self._refuse_large_headers()
        elif self._is_body_unwanted:
            self._end()
        elif is_new:
            # The body stays in the kernel's buffers until the application asks for it.
            self.flow.pause_reading()

    def on_message_begin(self) -> None:
        """Start the deadline for the headers."""
        super().on_message_begin()
        self._expect_headers()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header. Trailers are only counted."""
        if self._phase is not _Phase.HEADERS:
            self._trailer_bytes += len(name) + len(value) + 4
            if self._trailer_bytes > self.limits.header_bytes:
                self._refuse_in_parser()
            return
        if len(self.headers) >= MAX_HEADERS:
            self._refuse_in_parser()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request unless its headers are too large."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.limits.header_bytes:
            self._refuse_in_parser()
        if len(self.pipeline) >= MAX_PIPELINED:
            # Those that came before are answered.
            self._phase = _Phase.REFUSED
            self._clear_deadline()
            self.pipeline[0][0].keep_alive = False
            raise _RefusedError
        super().on_headers_complete()
        if self.expect_100_continue:
            # A client that is refused before it is told to go on may send the body or not, so that what follows
            # can't be told from it.
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
        """Buffer a part of a body, or count it as unread if the response is already complete."""
        self._framing_bytes -= len(body)
        if self.cycle.response_complete:
            self._unread_bytes += len(body)
            self._is_body_unwanted = self._unread_bytes > MAX_UNREAD_BODY_BYTES
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Clear the deadline. The keep-alive timeout applies until the next request."""
        super().on_message_complete()
        self._phase = _Phase.HEADERS
        self._clear_deadline()

    def send_400_response(self, msg: str) -> None:
        """Reject what the parser can't read."""
        if self._is_too_large:
            self._refuse_large_headers()
        else:
            self._refuse(MalformedRequestError(f"Not a valid HTTP/1.1 request: {msg}"))

    def pause_writing(self) -> None:
        """Start the deadline for a client that reads too slowly."""
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        """Clear that deadline."""
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
        if is_idle and self._pending_refusal is not None:
            self._send_refusal(self._pending_refusal)

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
            self._set_deadline(self.limits.header_timeout, self._headers_late)

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
        if self._is_response_due:
            # Part of a further request has come while an earlier one is worked on: its response comes first.
            self._set_deadline(self.limits.header_timeout, self._headers_late)
            return
        seconds = self.limits.header_timeout
        self._refuse(RequestTimeoutError(f"Request line and headers did not arrive within {seconds:g} s"))

    def _body_late(self) -> None:
        if self.pipeline or self.flow.read_paused:
            # We have not let the client send.
            self._set_deadline(self.limits.body_timeout, self._body_late)
        elif self.cycle.response_started:
            self._close()
        else:
            self._refuse(RequestTimeoutError(f"The body did not arrive within {self.limits.body_timeout:g} s"))

    def _refuse_in_parser(self) -> None:
        self._is_too_large = True
        raise _RefusedError

    def _refuse_large_headers(self) -> None:
        self._refuse(HeadersTooLargeError(self.limits.header_bytes, MAX_HEADERS))

    def _refuse_connection(self) -> None:
        limit = self.open_connections.limit
        self._refuse(OverloadedError(f"The gateway has {limit} connections; retry later"))

    def _refuse(self, problem: ProblemError) -> None:
        """Send a problem after the responses to earlier requests, and close the connection."""
        self._clear_deadline()
        if self.transport.is_closing() or self._phase is _Phase.REFUSED:
            return
        log.info("request refused", status=problem.status, problem=problem.code)
        is_begun, self._phase = self._phase is _Phase.BODY, _Phase.REFUSED
        if is_begun and self.pipeline:
            self.pipeline.popleft()
        elif is_begun and self._is_response_due:
            is_started = self.cycle.response_started
            self._disconnect()
            if is_started:
                self._close()
                return
            self._running = None
        if self._is_response_due:
            self._pending_refusal = problem
        else:
            self._send_refusal(problem)

    def _send_refusal(self, problem: ProblemError) -> None:
        self._pending_refusal = None
        self.transport.write(self._response(problem))
        self._end()

    def _end(self) -> None:
        """Close the connection once the client has had time to read the last response."""
        self._phase = _Phase.REFUSED
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._set_deadline(LINGER, self._close)

    def _disconnect(self) -> None:
        """Tell the application that the client is gone, so that it stops writing."""
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
            self.flow.resume_writing()

    def _response(self, problem: ProblemError) -> bytes:
        request_id = uuid4().hex
        # An empty reference is the requested address (RFC 3986, 4.4), which may not be known.
        body = problem.document(instance="", request_id=request_id).model_dump_json()
        headers = {
            "Content-Type": MEDIA_TYPE,
            "Content-Length": str(len(body.encode())),
            "Connection": "close",
            REQUEST_ID_HEADER: request_id,
            **problem.headers,
            **security_headers(self.scheme or "http"),
        }
        lines = [*self.server_state.default_headers, *((n.encode(), v.encode()) for n, v in headers.items())]
        head = [STATUS_LINE[problem.status], *(b"%b: %b\r\n" % line for line in lines), b"\r\n"]
        return b"".join([*head, body.encode()])

    def _close(self) -> None:
        self._disconnect()
        # Not `close`, which waits for a client that may never read.
        self.transport.abort()


def bounded_protocol(settings: Settings) -> type[BoundedHttpProtocol]:
    """Return a protocol class with the limits of the settings. uvicorn instantiates it per connection."""

    class Protocol(BoundedHttpProtocol):
        limits = ConnectionLimits(
            header_bytes=settings.max_header_bytes,
            header_timeout=settings.request_header_timeout,
            body_timeout=settings.body_timeout,
            send_timeout=settings.send_timeout,
        )
        open_connections = Connections(settings.max_connections)

    return Protocol
