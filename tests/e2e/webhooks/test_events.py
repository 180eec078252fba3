"""What happens to a tenant reaches a receiver, from a gateway and a worker process."""

import anyio
import pytest
from pydantic import TypeAdapter

from app.gateway.documentation.events import Event, TenantEvent
from tests.e2e.conftest import PATIENCE, Service
from tests.support.servers.receiver import Receiver
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio


async def types_of(receiver: Receiver, tenant_id: str) -> list[str]:
    """Return the types of the tenant's events by their sequence."""
    await anyio.lowlevel.checkpoint()
    own = [request.document for request in receiver.received if request.document.get("subject") == tenant_id]
    return [document["type"] for document in sorted(own, key=lambda document: str(document["sequence"]))]


async def test_a_webhook_that_was_created_over_http_receives_a_creation(service: Service, receiver: Receiver) -> None:
    body = {"url": receiver.url("/billing"), "eventTypes": ["tenant.created"]}
    created = (await service.http.post("/webhooks", json=body)).raise_for_status().json()
    webhook = created["links"]["self"]
    receiver.secrets["/billing"] = created["secret"]
    tenant_id = (await service.provision())["tenantId"]

    async def is_delivered() -> bool:
        deliveries = (await service.http.get(f"{webhook}/deliveries")).json()["deliveries"]
        return [delivery["status"] for delivery in deliveries] == ["delivered"]

    await wait_until(is_delivered, timeout=PATIENCE)
    [request] = receiver.received_at("/billing")
    assert (request.document["type"], request.document["subject"]) == ("tenant.created", tenant_id)
    assert receiver.refused == []
    rotated = (await service.http.post(f"{webhook}/rotate-secret")).raise_for_status().json()
    assert (await service.http.delete(webhook)).status_code == 204
    logs = "".join(file.read_text() for file in service.logs.iterdir())
    assert "/webhooks/{id}/rotate-secret" in logs
    for secret in (created["secret"], rotated["secret"]):
        assert secret.removeprefix("whsec_") not in logs


@pytest.mark.usefixtures("webhook")
async def test_a_creation_is_reported(service: Service, receiver: Receiver) -> None:
    tenant_id = (await service.provision())["tenantId"]
    expected = ["operation.queued", "tenant.created", "operation.completed"]

    async def have_arrived() -> bool:
        return await types_of(receiver, tenant_id) == expected

    await wait_until(have_arrived, timeout=PATIENCE)
    assert receiver.refused == []
    for document in (request.document for request in receiver.received):
        event = TypeAdapter(Event).validate_python(document)
        assert document.keys() <= event.model_dump(by_alias=True).keys(), "an attribute is not documented"
        assert document["data"].keys() <= event.data.model_dump(by_alias=True).keys(), "a field is not documented"
        assert isinstance(event, TenantEvent) == document["type"].startswith("tenant.")
