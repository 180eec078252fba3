"""Deletions whose workflow was terminated in Temporal: maintenance puts the tenant back."""

import pytest
from temporalio.client import Client

from tests.e2e.commands import reconcile
from tests.e2e.conftest import Service
from tests.e2e.deletions.test_deletion import delete
from tests.support.servers.restartable import RestartableTemporal

pytestmark = pytest.mark.anyio


async def test_a_terminated_deletion_is_undone_by_maintenance(
    service: Service, temporal: RestartableTemporal
) -> None:
    client = await Client.connect(temporal.address)
    tenant_id = (await service.provision())["tenantId"]
    before = (await service.http.get(f"/tenants/{tenant_id}")).json()
    operation = await delete(service, tenant_id)
    await service.shown(operation["workflowId"], "awaiting_confirmation")
    await client.get_workflow_handle(operation["workflowId"]).terminate("by an operator")
    ended = await service.finished(operation["workflowId"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", "ended-outside")
    assert "undoes its steps" in ended["error"]["detail"]
    # The maintenance of the worker may be faster.
    code, found = await reconcile(service, operation["workflowId"])
    assert code == 0
    assert all("its steps were undone" in finding["detail"] for finding in found["findings"])
    assert (await service.status(operation["workflowId"]))["status"] == "failed"
    tenant = (await service.http.get(f"/tenants/{tenant_id}")).json()
    assert (tenant["userCount"], tenant["state"]) == (before["userCount"], "active")
    again = await delete(service, tenant_id)
    assert again["workflowId"] != operation["workflowId"]
