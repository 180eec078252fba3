"""Bounds what a connection may cost before and after an application sees its requests.

uvicorn's own protocol has no limit to headers and no deadline but that of an idle connection, and refuses what is not
HTTP in plain text.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, ClassVar
from uuid import uuid4

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.gateway.problems import MEDIA_TYPE, Problem, title_of, type_of
from app.gateway.request_context import REQUEST_ID_HEADER
from app.gateway.security_headers import security_headers
from app.settings import Settings

# A refused client may still be sending; closing at once would reset the connection before it reads why. Seconds.
LINGER = 1.0
# Requests that a client sends before the answer to an earlier one. uvicorn keeps them all.
MOST_PIPELINED = 100

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ConnectionLimits:
    """Bytes, and seconds."""

    header_bytes: int
    header_timeout: float
    body_timeout: float
    send_timeout: float


class _Phase(Enum):
    HEADERS = auto()
    BODY = auto()
    REFUSED = auto()


class _RefusedError(Exception):
    """Ends the parsing of what is beyond a limit."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits, and with problem documents for what no application gets to see."""

    limits: ClassVar[ConnectionLimits]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._phase = _Phase.HEADERS
        self._header_bytes = 0
        self._is_too_large = False
        self._has_request = False
        self._deadline: asyncio.TimerHandle | None = None
        self._send_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn's own
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let nothing happen any more."""
        self._clear_deadline()
        self._clear_send_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, within bounds."""
        if self._phase is _Phase.REFUSED:
            return
        if self._phase is _Phase.HEADERS:
            self._header_bytes += len(data)
            self._expect_headers()
        super().data_received(data)
        if self._phase is _Phase.HEADERS and self._header_bytes > self.limits.header_bytes:
            self._refuse_large_headers()

    def on_message_begin(self) -> None:
        """A request begins, maybe in the middle of what has come."""
        super().on_message_begin()
        self._expect_headers()

    def on_headers_complete(self) -> None:
        """Start the request, unless its headers came in one piece that is too large."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.limits.header_bytes:
            self._is_too_large = True
            raise _RefusedError
        if len(self.pipeline) >= MOST_PIPELINED:
            self._phase = _Phase.REFUSED
            self._close()
            raise _RefusedError
        super().on_headers_complete()
        self._has_request = True
        self._phase = _Phase.BODY
        self._header_bytes = 0
        self._set_deadline(self.limits.body_timeout, self._body_late)

    def on_message_complete(self) -> None:
        """The request is here; the next one has time until the connection has been idle for too long."""
        super().on_message_complete()
        self._phase = _Phase.HEADERS
        self._clear_deadline()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when the parser gives up."""
        if self._is_too_large:
            self._refuse_large_headers()
        else:
            self._refuse(400, "malformed-request", f"this is not HTTP/1.1: {msg}")

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        """The client has read most of it."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._clear_send_deadline()

    def on_response_complete(self) -> None:
        """A connection that is to be closed now is closed only once the client has read all."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect_reader()

    def timeout_keep_alive_handler(self) -> None:
        """The same for one that has been idle for too long."""
        super().timeout_keep_alive_handler()
        self._expect_reader()

    def _expect_reader(self) -> None:
        if self._send_deadline is None:
            self._send_deadline = self.loop.call_later(self.limits.send_timeout, self.transport.abort)

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
    def _is_answer_due(self) -> bool:
        return self._has_request and not self.cycle.response_complete

    def _headers_late(self) -> None:
        if self._is_answer_due:
            # Part of a further request has come while an earlier one is worked on: its answer comes first.
            self._set_deadline(self.limits.header_timeout, self._headers_late)
            return
        seconds = self.limits.header_timeout
        self._refuse(408, "request-timeout", f"request line and headers did not come within {seconds:g} s")

    def _body_late(self) -> None:
        if self.pipeline or self.flow.read_paused:
            # We have not let the client send.
            self._set_deadline(self.limits.body_timeout, self._body_late)
        elif self.cycle.response_started:
            self._close()
        else:
            self._refuse(408, "request-timeout", f"the body did not come within {self.limits.body_timeout:g} s")

    def _refuse_large_headers(self) -> None:
        most = self.limits.header_bytes
        self._refuse(431, "headers-too-large", f"request line and headers are larger than {most} bytes")

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer with a problem and end the connection once the client has had time to read it."""
        self._clear_deadline()
        if self.transport.is_closing() or self._phase is _Phase.REFUSED:
            return
        log.info("request refused", status=status, problem=code)
        self._phase = _Phase.REFUSED
        if self._is_answer_due:
            is_answered = self.cycle.response_started
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if is_answered:
                self._close()
                return
        self.transport.write(self._problem(status, code, detail))
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._set_deadline(LINGER, self._close)

    def _problem(self, status: int, code: str, detail: str) -> bytes:
        request_id = uuid4().hex
        # An empty reference is the address that was asked for (RFC 3986, 4.4), which may not be known.
        body = Problem(
            type=type_of(code),
            title=title_of(code),
            status=status,
            detail=detail,
            instance="",
            code=code,
            request_id=request_id,
        ).model_dump_json()
        headers = {
            "Content-Type": MEDIA_TYPE,
            "Content-Length": str(len(body.encode())),
            "Connection": "close",
            REQUEST_ID_HEADER: request_id,
            **security_headers(self.scheme or "http"),
        }
        lines = [*self.server_state.default_headers, *((n.encode(), v.encode()) for n, v in headers.items())]
        return b"".join([STATUS_LINE[status], *(b"%b: %b\r\n" % line for line in lines), b"\r\n", body.encode()])

    def _close(self) -> None:
        # Not `close`, which waits for a client that may never read.
        self.transport.abort()


def bounded_protocol(settings: Settings) -> type[BoundedHttpProtocol]:
    """The protocol with these settings' limits, as uvicorn wants it: a class to be instantiated for a connection."""

    class Protocol(BoundedHttpProtocol):
        limits = ConnectionLimits(
            header_bytes=settings.max_header_bytes,
            header_timeout=settings.request_header_timeout,
            body_timeout=settings.body_timeout,
            send_timeout=settings.send_timeout,
        )

    return Protocol
