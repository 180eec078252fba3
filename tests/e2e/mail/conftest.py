"""A worker that sends mails to a real mail server, beside the installation's own worker."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from tests.e2e.conftest import Service
from tests.e2e.in_process import gateway_in_process
from tests.e2e.replicas import REPOSITORY, replica
from tests.support.servers.mail import MailServer

KEY = "the-key-that-signs-algas-own-links"
URL = "https://alga.example.com"


def settings_for(server: MailServer) -> dict[str, str]:
    """Return the settings of a worker that sends through this server."""
    return {
        "MAIL_PROVIDER": "smtp",
        "MAIL_FROM": "Alga <noreply@alga.example>",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(server.port),
        "SMTP_TLS": "none",
        "ALGA_URL": URL,
        "ALGA_SECRET_KEY": KEY,
    }


@pytest.fixture(scope="package")
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture(scope="package")
async def mailing(running: Service, mail_server: MailServer) -> AsyncIterator[Service]:
    """The service with a worker that sends mails."""
    queue, settings = f"mail-{uuid4()}", settings_for(mail_server)
    async with (
        replica(running, "worker", code=REPOSITORY, **settings, TEMPORAL_TASK_QUEUE=queue),
        gateway_in_process(running, TEMPORAL_TASK_QUEUE=queue) as gateway,
        gateway.client() as http,
    ):
        mailing = replace(running, task_queue=queue, installation=replace(running.installation, url=gateway.url))
        mailing.http = http
        yield mailing
