"""Mails for tests."""

from uuid import UUID

from activities.mail.addresses import Mailbox
from activities.mail.transport import Content, Mail

MAIL_ID = UUID("7c9e6679-7425-40de-944b-e07fc1f90ae7")


def a_mail(recipient: str = "ada@acme.example", name: str = "Ada Byron", subject: str = "Welcome") -> Mail:
    return Mail(
        id=MAIL_ID,
        sender=Mailbox("noreply@alga.example", "Alga"),
        recipient=Mailbox(recipient, name),
        content=Content(subject, "Hello Ada,\nyou are in.\n", "<p>Hello Ada,</p>"),
    )
