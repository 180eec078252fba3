"""Exports of tenants on all of Alga's tables, by their workflow."""

from uuid import UUID, uuid4

import pytest
from temporalio.client import Client

from tests.e2e.conftest import Service
from tests.support.servers.restartable import RestartableTemporal

pytestmark = pytest.mark.anyio


async def test_algas_client_exports_a_tenant(service: Service, temporal: RestartableTemporal) -> None:
    tenant_id = (await service.provision())["tenantId"]
    client = await Client.connect(temporal.address)
    result = await client.execute_workflow(
        "tenantExportWorkflow",
        {"tenantId": tenant_id, "requestedBy": "an operator", "reason": "asked for"},
        id=f"tenant-export-{tenant_id}-{uuid4()}",
        task_queue=service.task_queue,
    )
    assert result["success"], result
    assert UUID(result["exportId"]).version == 5
    assert result["recordCount"] > 600
