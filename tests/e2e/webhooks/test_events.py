"""What happens to a tenant reaches a receiver, from a gateway and a worker process."""

import anyio
import pytest

from tests.e2e.conftest import PATIENCE, Service
from tests.support.servers.receiver import Receiver
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio


async def types_of(receiver: Receiver, tenant_id: str) -> list[str]:
    """Return the types of the tenant's events by their sequence."""
    await anyio.lowlevel.checkpoint()
    own = [request.document for request in receiver.received if request.document.get("subject") == tenant_id]
    return [document["type"] for document in sorted(own, key=lambda document: str(document["sequence"]))]


@pytest.mark.usefixtures("webhook")
async def test_a_creation_is_reported(service: Service, receiver: Receiver) -> None:
    tenant_id = (await service.provision())["tenantId"]
    expected = ["operation.queued", "tenant.created", "operation.completed"]

    async def have_arrived() -> bool:
        return await types_of(receiver, tenant_id) == expected

    await wait_until(have_arrived, timeout=PATIENCE)
    assert receiver.refused == []
