"""Events reach receivers: signed, described as CloudEvents, and again after failures."""

from http import HTTPStatus
from uuid import UUID

import pytest

from tests.app.worker.deliveries.outbox import Outbox
from tests.support.servers.receiver import Receiver

pytestmark = pytest.mark.anyio


async def test_an_event_arrives_signed_as_a_cloud_event(outbox: Outbox, receiver: Receiver) -> None:
    webhook_id = await outbox.add_webhook(receiver)
    tenant = await outbox.add_operation()
    async with outbox.worker(public_url="https://tenants.example.com"):
        await outbox.until_ended(webhook_id)
    [request] = receiver.received
    delivery = await outbox.the_delivery(webhook_id)
    document = request.document
    occurred_at = document.pop("time")
    workflow_id = document["data"].pop("workflowId")
    assert document == {
        "specversion": "1.0",
        "id": str(delivery["event_id"]),
        "source": "https://tenants.example.com",
        "type": "operation.queued",
        "datacontenttype": "application/json",
        "subject": str(tenant),
        "sequence": "00000000000000000001",
        "data": {"tenantId": str(tenant), "tenantName": "Acme", "kind": "tenant_export", "status": "queued"},
    }
    assert occurred_at.endswith("Z")
    assert workflow_id.startswith("tenant_export-")
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert UUID(request.id) == delivery["event_id"]
    assert delivery["status"] == "delivered"
    [attempt] = await outbox.attempts(webhook_id)
    assert (attempt["attempt"], attempt["status_code"], attempt["error"]) == (1, HTTPStatus.NO_CONTENT, None)
    assert receiver.refused == []
