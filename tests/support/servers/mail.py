"""What takes mails, on loopback: a mail server that speaks SMTP, and a server with Resend's API."""

import json
import ssl
import threading
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from app.embedded.processes.ports import free_port
from tests.support.certificates import Pair

if TYPE_CHECKING:
    from collections.abc import Callable

USERNAME, PASSWORD = "mailer", "a-password-for-the-mail-server"
ACCEPTED = "250 accepted"


class MailServer:
    """A mail server that keeps what it accepts.

    `reply` is asked for each mail, and may do something before the client gets the reply. `tls` is how it speaks TLS
    with the certificate; a client has to authenticate if `needs_login`.
    """

    def __init__(self, *, tls: str = "none", certificate: Pair | None = None, needs_login: bool = False) -> None:
        self.port = free_port()
        self.received: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.recipients: list[str] = []
        self.logins: list[bytes] = []
        self.reply: Callable[[EmailMessage], str] = lambda _: ACCEPTED
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            ssl_context=context if tls == "implicit" else None,
            tls_context=context if tls == "starttls" else None,
            require_starttls=tls == "starttls",
            authenticator=self._authenticate if needs_login else None,
            auth_required=needs_login,
            auth_require_tls=tls == "starttls",
            enable_SMTPUTF8=True,
            loop=None,
        )

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        message = BytesParser(policy=default).parsebytes(content)
        assert isinstance(message, EmailMessage)
        reply = self.reply(message)
        if reply == ACCEPTED:
            self.raw.append(content)
            self.recipients += envelope.rcpt_tos
            self.received.append(message)
        return reply

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login)
        is_known = data == LoginPassword(USERNAME.encode(), PASSWORD.encode())
        return AuthResult(success=is_known, handled=is_known)


def text_of(message: EmailMessage) -> str:
    return _part(message, "plain")


def html_of(message: EmailMessage) -> str:
    return _part(message, "html")


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert isinstance(part, EmailMessage)
    content = part.get_content()
    assert isinstance(content, str)
    return content


class ResendServer:
    """Resend's API as its documentation has it: a key that was used before returns the first response.

    `responses` are sent first, one for each request: a status and a document.
    """

    def __init__(self, key: str) -> None:
        self.mails: list[dict[str, Any]] = []
        self.requests = 0
        self.responses: list[tuple[int, dict[str, Any]]] = []
        self._used: dict[str, tuple[str, str]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._respond(200, {"data": []}) if self._is_known() else self._refuse()

            def do_POST(self) -> None:
                outer.requests += 1
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if not self._is_known():
                    self._refuse()
                elif outer.responses:
                    self._respond(*outer.responses.pop(0))
                else:
                    self._respond(*outer._accept(self.headers["Idempotency-Key"], body))

            def _is_known(self) -> bool:
                return self.headers["Authorization"] == f"Bearer {key}"

            def _refuse(self) -> None:
                self._respond(401, {"statusCode": 401, "name": "invalid_api_key", "message": "API key is invalid"})

            def _respond(self, status: int, document: dict[str, Any]) -> None:
                content = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="resend")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _accept(self, key: str, body: str) -> tuple[int, dict[str, Any]]:
        known_body, sent_as = self._used.get(key, (body, ""))
        if known_body != body:
            message = "Same idempotency key used with a different request payload"
            return 409, {"statusCode": 409, "name": "invalid_idempotent_request", "message": message}
        if not sent_as:
            sent_as = f"resend-{len(self.mails) + 1}"
            self._used[key] = body, sent_as
            self.mails.append(json.loads(body))
        return 200, {"id": sent_as}
