"""Sends mails to a mail server."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import aiosmtplib

from activities.database.certificates import client_context
from activities.mail.transport import SEND_SECONDS, Mail, refused, shown_reason, unavailable

QUIT_SECONDS = 1.0
# Replies from this code on are permanent (RFC 5321, section 4.2.1).
PERMANENT = 500

Tls = Literal["starttls", "implicit", "none"]


@dataclass(frozen=True)
class SmtpServer:
    """The address of a mail server, and how it is trusted; `greeting` is the name that we greet it with."""

    host: str
    port: int
    greeting: str
    tls: Tls = "starttls"
    ca_file: Path | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)


class SmtpTransport:
    """Sends each mail over a connection of its own."""

    name = "smtp"

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._context = self._tls_context(server) if server.tls != "none" else None

    async def send(self, mail: Mail) -> str:
        """Send the mail and return its `Message-ID`; raises as `Transport.send` does.

        A mail whose acceptance was lost is sent again by the next attempt, with the same `Message-ID`.
        """
        async with self._connection() as client:
            await client.send_message(mail.message, sender=mail.sender.envelope, recipients=[mail.recipient.envelope])
        return mail.message_id

    async def check(self) -> str:
        """Connect, begin TLS and authenticate, and return the server's address; raises as `Transport.check` does."""
        async with self._connection() as client:
            await client.noop()
        return f"{self._server.host}:{self._server.port}"

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiosmtplib.SMTP]:
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            local_hostname=server.greeting,
            use_tls=server.tls == "implicit",
            start_tls=server.tls == "starttls",
            tls_context=self._context,
            timeout=SEND_SECONDS,
        )
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await client.connect()
                yield client
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise self._shown(error) from None
        finally:
            # The mail is accepted, or not, by now.
            with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(QUIT_SECONDS):
                    await client.quit()
            client.close()

    def _shown(self, error: Exception) -> Exception:
        """Return the error that says what a person can do, without data of the mail."""
        place = f"{self._server.host}:{self._server.port}"
        if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
            error = error.recipients[0]
        if isinstance(error, aiosmtplib.SMTPResponseException):
            detail = f"the mail server {place} said {error.code} {shown_reason(error.message)}"
            return refused(detail) if error.code >= PERMANENT else unavailable(detail)
        if isinstance(error, aiosmtplib.SMTPNotSupported):
            return refused(f"the mail server {place} lacks SMTPUTF8, which the address needs")
        cause = error.__cause__ or error
        if isinstance(cause, ssl.SSLCertVerificationError):
            return unavailable(f"the certificate of the mail server {place} is refused: {cause.verify_message}")
        return unavailable(f"the mail server {place} can't be used: {type(error).__name__}: {error}")

    @staticmethod
    def _tls_context(server: SmtpServer) -> ssl.SSLContext:
        return client_context(authorities=server.ca_file, certificate=None, key=None, verified=True, named=True)
