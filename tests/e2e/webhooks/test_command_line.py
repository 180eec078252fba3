"""A webhook from its creation to its removal, by the command line of a running service with a real receiver."""

from collections import Counter
from http import HTTPStatus
from typing import Any

import anyio
import pytest

from tests.e2e.conftest import PATIENCE, Service
from tests.e2e.exports.conftest import CommandLine
from tests.support.servers.receiver import Receiver, Reply
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

PATH = "/from-the-command-line"


async def wait_for(receiver: Receiver, *ids: str) -> None:
    """Wait until each of the events has come as often as it is named."""

    async def have_come() -> bool:
        await anyio.lowlevel.checkpoint()
        return not Counter(ids) - Counter(received.id for received in receiver.received_at(PATH))

    await wait_until(have_come, timeout=PATIENCE)


async def wait_for_type(receiver: Receiver, event_type: str) -> dict[str, Any]:
    """Return the first event of a type."""
    found: list[dict[str, Any]] = []

    async def has_come() -> bool:
        await anyio.lowlevel.checkpoint()
        documents = [received.document for received in receiver.received_at(PATH)]
        found[:] = [document for document in documents if document["type"] == event_type]
        return bool(found)

    await wait_until(has_come, timeout=PATIENCE)
    return found[0]


async def test_a_webhook_is_created_tested_rotated_paused_replayed_and_deleted(
    service: Service, receiver: Receiver
) -> None:
    command_line = CommandLine(service.installation.url, service.installation.api_key)

    async def webhooks(*arguments: str, code: int = 0) -> str:
        ran = await command_line.run("webhooks", *arguments)
        assert ran.code == code, ran.stderr
        return ran.stdout

    created = await command_line.run("webhooks", "create", receiver.url(PATH), "--event-type=tenant.*", "--json")
    assert created.code == 0, created.stderr
    webhook_id, receiver.secrets[PATH] = created.document["id"], created.document["secret"]
    assert "204" in await webhooks("test", webhook_id)

    tenant_id = (await service.provision())["tenantId"]
    event = await wait_for_type(receiver, "tenant.created")
    assert event["subject"] == tenant_id
    deliveries = await command_line.shown_at(80, "webhooks", "deliveries", webhook_id)
    assert any(event["id"] in line for line in deliveries)

    receiver.reply = lambda _: Reply(HTTPStatus.SERVICE_UNAVAILABLE)
    assert "503" in await webhooks("test", webhook_id, code=1)
    assert webhook_id in await webhooks("pause", webhook_id)
    receiver.reply = lambda _: Reply()
    rotated = await command_line.run("webhooks", "rotate-secret", webhook_id, "--json")
    receiver.secrets[PATH] = rotated.document["secret"]
    waiting = (await command_line.run("webhooks", "test", webhook_id, "--json")).document["eventId"]
    await webhooks("replay", webhook_id, event["id"])
    assert waiting not in [received.id for received in receiver.received_at(PATH)]
    await webhooks("resume", webhook_id)
    await wait_for(receiver, waiting, event["id"], event["id"])
    assert receiver.refused == []

    await webhooks("delete", webhook_id, "--yes")
    assert webhook_id not in await webhooks("list")
    await webhooks("show", webhook_id, code=4)
