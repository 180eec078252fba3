"""A receiver of webhooks on loopback, which verifies each request with the package of Standard Webhooks."""

import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from standardwebhooks import Webhook

from app.embedded.processes.ports import LOOPBACK
from tests.support.certificates import Pair


@dataclass(frozen=True)
class Reply:
    """What the receiver does with a request: it waits for an event, if there is one, and responds."""

    status: int = HTTPStatus.NO_CONTENT
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    after: threading.Event | None = None


@dataclass(frozen=True)
class Received:
    """A verified request."""

    path: str
    headers: Mapping[str, str]
    document: Any

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class Receiver:
    """Keeps the requests whose signature is valid, and those that are not. `reply` decides on each."""

    def __init__(self, *, tls: Pair | None = None, host: str = LOOPBACK) -> None:
        self.secrets: dict[str, str] = {}
        """Secrets by the paths of their URLs."""
        self.received: list[Received] = []
        self.refused: list[str] = []
        self.reply: Callable[[Received], Reply] = lambda _: Reply()
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body of a response would otherwise wait for each other's acknowledgement.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                receiver._handle(self)

            def log_message(self, *_: object) -> None:
                """Write nothing to the terminal."""

        self._server = _Server((host, 0), Handler)
        self.port = self._server.server_address[1]
        self.host = "localhost" if tls is not None else host
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.certificate, tls.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "https" if tls is not None else "http"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, path: str = "/events") -> str:
        return f"{self._scheme}://{self.host}:{self.port}{path}"

    def received_at(self, path: str) -> list[Received]:
        with self._lock:
            return [each for each in self.received if each.path == path]

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers["content-length"])
        body = handler.rfile.read(length)
        if len(body) < length:
            # The sender was killed before the request was complete.
            return
        headers = {name.lower(): value for name, value in handler.headers.items()}
        try:
            document = Webhook(self.secrets[handler.path]).verify(body, headers)
        except Exception as error:  # noqa: BLE001 - whatever it is, the request was not verified
            with self._lock:
                self.refused.append(f"{handler.path}: {error!r}")
            _respond(handler, Reply(HTTPStatus.UNAUTHORIZED))
            return
        request = Received(handler.path, headers, document)
        with self._lock:
            self.received.append(request)
        reply = self.reply(request)
        if reply.after is not None:
            reply.after.wait()
        _respond(handler, reply)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that have closed their connections."""


def _respond(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    handler.send_response(reply.status)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    if reply.status != HTTPStatus.NO_CONTENT and "Content-Length" not in reply.headers:
        handler.send_header("Content-Length", str(len(reply.body)))
    handler.end_headers()
    handler.wfile.write(reply.body)
