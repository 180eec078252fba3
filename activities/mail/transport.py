"""A mail, and what sends it: a mail server or a provider's API."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Protocol
from uuid import UUID

from temporalio.exceptions import ApplicationError

from activities.errors import FinalError
from activities.mail.addresses import Mailbox

# Less than the timeout of an activity, so that no attempt sends after its successor has begun.
SEND_SECONDS = 15.0

MAIL_REFUSED = "mail-refused"
MAIL_UNAVAILABLE = "mail-unavailable"

MAX_REASON_LENGTH = 200
# A server may quote addresses and links of the mail.
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_.,:;()'#/-]{1,24}")


@dataclass(frozen=True)
class Content:
    """What a mail says."""

    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)


@dataclass(frozen=True)
class Mail:
    """A mail. Each attempt to send it has the same id, by which a provider can recognise it."""

    id: UUID
    sender: Mailbox
    recipient: Mailbox
    content: Content

    @property
    def message_id(self) -> str:
        """The `Message-ID` of every attempt."""
        return f"<{self.id}@{self.sender.header.domain}>"

    @property
    def message(self) -> EmailMessage:
        """The mail in MIME, as text and as HTML."""
        message = EmailMessage()
        message["From"] = self.sender.header
        message["To"] = self.recipient.header
        message["Subject"] = self.content.subject
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = self.message_id
        # Autoresponders must not respond (RFC 3834).
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(self.content.text)
        message.add_alternative(self.content.html, subtype="html")
        return message


class Transport(Protocol):
    """Sends mails, each at most once for each call."""

    @property
    def name(self) -> str:
        """The name in the setting `MAIL_PROVIDER`."""

    async def send(self, mail: Mail) -> str:
        """Send the mail and return the provider's id of it.

        Raises `FinalError` if it was refused for good, or else `ApplicationError`.
        """

    async def check(self) -> str:
        """Return what responds there, without sending anything; raises as `send` does."""


def refused(detail: str) -> FinalError:
    """Return the error of a mail that was refused for good."""
    return FinalError(MAIL_REFUSED, detail)


def unavailable(detail: str) -> ApplicationError:
    """Return the error of a mail that may be accepted later."""
    return ApplicationError(detail, type=MAIL_UNAVAILABLE)


def shown_reason(text: str) -> str:
    """Return a server's text without addresses, links and tokens, which it may quote from the mail."""
    words = (word if _PLAIN_WORD.fullmatch(word) and "//" not in word else "…" for word in text.split())
    return " ".join(words)[:MAX_REASON_LENGTH]
