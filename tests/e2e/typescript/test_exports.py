"""Alga's server exports tenants by its TypeScript client."""

from uuid import UUID, uuid4

import pytest

from tests.e2e.conftest import Service
from tests.e2e.typescript.conftest import Call

pytestmark = pytest.mark.anyio


async def test_it_exports_a_tenant_as_algas_server_does(service: Service, call: Call) -> None:
    tenant_id = (await service.provision(tenantName="Wired"))["tenantId"]
    asked = {"tenantId": tenant_id, "requestedBy": str(uuid4()), "reason": "asked for"}
    workflow_id = f"tenant-export-{tenant_id}-1764000000000"
    output = (await call("export", taskQueue=service.task_queue, workflowId=workflow_id, input=asked))["value"]
    result, state = output["result"], output["state"]
    assert (result["success"], result["tenantId"], result["tenantName"]) == (True, tenant_id, "Wired")
    assert UUID(result["exportId"]).version == 5
    assert result["recordCount"] > 600
    assert result["tableCount"] > 0
    assert result["fileSizeBytes"] > 0
    assert (state["step"], state["status"], output["shared"]["step"]) == ("completed", "completed", "completed")
    assert state["startedAt"] < state["completedAt"]
    assert state.items() >= {name: value for name, value in result.items() if name != "success"}.items()
    exported = (await service.http.get(f"/exports/{result['exportId']}")).json()
    assert (exported["state"], exported["masked"], exported["reason"]) == ("completed", True, "asked for")


async def test_a_failed_export_is_a_result_and_no_error(service: Service, call: Call) -> None:
    tenant_id = str(uuid4())
    asked = {"tenantId": tenant_id, "requestedBy": "ada"}
    workflow_id = f"tenant-export-{tenant_id}-1764000000000"
    output = (await call("export", taskQueue=service.task_queue, workflowId=workflow_id, input=asked))["value"]
    assert output["result"] == {"success": False, "error": "there is no such tenant", "tenantId": tenant_id}
    assert (output["state"]["status"], output["state"]["error"]) == ("failed", "there is no such tenant")
