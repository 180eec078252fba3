from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import pytest

from activities.webhooks.rows import NewWebhook, create_webhook, delete_webhook
from activities.webhooks.secrets import SecretBox
from app.crypto.derived_keys import derive_key
from app.webhooks import PURPOSE
from tests.e2e.conftest import SECRET, Service
from tests.support.engines import engine_on
from tests.support.servers.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def webhook(service: Service, receiver: Receiver) -> AsyncIterator[UUID]:
    """A webhook of the receiver, for all events."""
    async with engine_on(service.installation.admin_database_url) as engine:
        box = SecretBox(derive_key(SECRET, PURPOSE))
        async with engine.begin() as connection:
            webhook_id, secret = await create_webhook(connection, box, NewWebhook(url=receiver.url()))
        receiver.secrets["/events"] = secret
        yield webhook_id
        async with engine.begin() as connection:
            await delete_webhook(connection, webhook_id)
