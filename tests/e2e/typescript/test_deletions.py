"""Alga's server starts, shows, confirms and undoes deletions by its TypeScript client."""

from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.e2e.conftest import Service
from tests.e2e.deletions.conftest import wire_queue
from tests.e2e.deletions.test_wire import ADA, record_with
from tests.e2e.typescript.conftest import Call
from tests.support.tenants.rows import row_counts

__all__ = ["wire_queue"]

pytestmark = pytest.mark.anyio

EXTENSION = "nineminds_extension"


async def start(service: Service, call: Call, queue: str) -> tuple[str, str]:
    """Return the ids of a new tenant, and of the workflow that deletes it."""
    tenant_id = (await service.provision(tenantName="Wired"))["tenantId"]
    workflow_id = f"tenant-deletion-{tenant_id}-1764000000000"
    asked = {"tenantId": tenant_id, "triggerSource": EXTENSION, "triggeredBy": str(ADA), "reason": "left"}
    started = await call("startDeletion", taskQueue=queue, workflowId=workflow_id, input=asked)
    assert "errors" not in started
    return tenant_id, workflow_id


async def signal(call: Call, workflow_id: str, name: str, argument: dict[str, Any]) -> None:
    assert "errors" not in await call("signal", workflowId=workflow_id, name=name, argument=argument)


async def test_it_deletes_a_tenant_as_algas_server_does(
    service: Service, database: asyncpg.Connection, call: Call, wire_queue: str
) -> None:
    """Its screens read and signal the workflow that stands in Alga's own table."""
    tenant_id, workflow_id = await start(service, call, wire_queue)
    record = await record_with(database, tenant_id, "awaiting_confirmation")
    state = (await call("state", workflowId=record["workflow_id"]))["value"]
    assert state == (await call("state", workflowId=workflow_id))["value"]
    assert (state["step"], state["status"]) == ("awaiting_confirmation", "awaiting_confirmation")
    assert (state["tenantId"], state["tenantName"]) == (tenant_id, "Wired")
    await signal(call, record["workflow_id"], "confirmDeletion", {"type": "immediate", "confirmedBy": str(ADA)})
    result = (await call("result", workflowId=workflow_id))["value"]
    assert (result["success"], result["status"], result["tenantId"]) == (True, "deleted", tenant_id)
    assert (await call("state", workflowId=workflow_id))["value"]["status"] == "deleted"
    assert await row_counts(database, UUID(tenant_id)) == {}


async def test_it_undoes_a_deletion(
    service: Service, database: asyncpg.Connection, call: Call, wire_queue: str
) -> None:
    tenant_id, workflow_id = await start(service, call, wire_queue)
    record = await record_with(database, tenant_id, "awaiting_confirmation")
    await signal(call, record["workflow_id"], "rollbackDeletion", {"reason": "paid", "rolledBackBy": str(ADA)})
    assert (await call("result", workflowId=workflow_id))["value"]["status"] == "rolled_back"
    assert (await record_with(database, tenant_id, "rolled_back"))["rolled_back_by"] == ADA
