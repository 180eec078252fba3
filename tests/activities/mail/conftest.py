"""Committed creations, and what sends their welcome mails to a real mail server."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.mail.activities import WelcomeMailActivities
from activities.mail.addresses import Mailbox
from activities.mail.links import AlgaSite
from activities.mail.rendering import load_templates
from activities.mail.sending import WelcomeMails
from activities.mail.smtp import SmtpServer, SmtpTransport
from activities.mail.transport import Transport
from tests.activities.conftest import provision_input, provisioning_on, request
from tests.support.servers.mail import MailServer
from workflows.operations.messages import FollowUpInput
from workflows.tenants.steps import SEND_WELCOME_EMAIL

KEY = "the-key-that-signs-algas-own-links"
URL = "https://alga.example.com"

Creation = Callable[..., Awaitable[FollowUpInput]]
Sending = Callable[..., WelcomeMails]


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def sending(engine: AsyncEngine, mail_server: MailServer) -> Sending:
    """Return what sends mails, with changes of its parts."""

    def make(transport: Transport | None = None, secret_key: str | None = KEY) -> WelcomeMails:
        smtp = SmtpServer("127.0.0.1", mail_server.port, greeting="alga.example", tls="none")
        return WelcomeMails(
            engine,
            transport or SmtpTransport(smtp),
            load_templates(),
            AlgaSite(URL, secret_key),
            Mailbox("noreply@alga.example", "Alga"),
        )

    return make


@pytest.fixture
def welcome(engine: AsyncEngine, sending: Sending) -> WelcomeMailActivities:
    return WelcomeMailActivities(engine, sending())


@pytest.fixture
def created(engine: AsyncEngine) -> Creation:
    """Commit a creation whose welcome mail is to be sent, and return the argument of the step."""

    async def create(**changes: Any) -> FollowUpInput:
        given = provision_input(request(uuid4(), **changes))
        await provisioning_on(engine, SEND_WELCOME_EMAIL).provision_tenant(given)
        return FollowUpInput(operation=given.operation, request={})

    return create
