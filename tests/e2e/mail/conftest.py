"""A worker that sends mails to a real mail server, in place of the installation's own worker."""

from collections.abc import AsyncIterator, Iterator

import anyio
import pytest

from tests.e2e.conftest import Service
from tests.e2e.replicas import Replica
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


@pytest.fixture(scope="module")
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture(scope="module")
async def mailing(service: Service, mail_server: MailServer) -> AsyncIterator[Service]:
    """The service with a worker that sends mails."""
    await anyio.to_thread.run_sync(service.worker.stop)
    worker = Replica(service, "worker", settings_for(mail_server))
    try:
        await worker.start()
        yield service
    finally:
        await anyio.to_thread.run_sync(worker.process.stop)
        await anyio.to_thread.run_sync(service.worker.start)
