"""A cancel that comes too late stops nothing, and says so: in a warning, in a 409, or in an error of Temporal."""

from uuid import uuid4

import asyncpg
import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from app.embedded.temporal import EmbeddedTemporal
from tests.e2e.conftest import Service, request
from tests.e2e.obstacles import waiting
from workflows.tenants.steps import COMPLETE

pytestmark = pytest.mark.anyio

CANCEL = {"reason": "ordered by mistake", "cancelledBy": "ada"}
WARNINGS = "SELECT warnings->0->>'code' FROM alga_tenants.operations WHERE workflow_id = $1"


async def test_a_signal_that_loses_against_the_commit_becomes_a_warning(
    service: Service, database: asyncpg.Connection, temporal: EmbeddedTemporal
) -> None:
    client, tenant_id = await Client.connect(temporal.address), uuid4()
    async with waiting(database, COMPLETE, tenant_id) as gate:
        handle = await client.start_workflow(
            "tenantCreationWorkflow",
            request(tenantId=str(tenant_id)),
            id=f"tenant-creation-{uuid4().hex}",
            task_queue=service.task_queue,
        )
        await gate.reached()
        await handle.signal("cancel", CANCEL)
    assert (await handle.result())["success"] is True
    document = await service.finished(handle.id)
    assert (document["status"], document["cancelledBy"]) == ("completed", None)
    [warning] = document["warnings"]
    assert warning["code"] == "cancel-too-late"
    assert f"POST /tenants/{tenant_id}/deletion" in warning["detail"]
    assert await database.fetchval(WARNINGS, handle.id) == "cancel-too-late"


async def test_a_cancel_of_a_completed_creation_is_an_error_and_changes_nothing(
    service: Service, temporal: EmbeddedTemporal
) -> None:
    before = await service.provision()
    handle = (await Client.connect(temporal.address)).get_workflow_handle(before["workflowId"])
    with pytest.raises(RPCError) as caught:
        await handle.signal("cancel", CANCEL)
    assert caught.value.status is RPCStatusCode.NOT_FOUND
    for path in (f"/tenants/{before['workflowId']}", before["links"]["self"]):
        response = await service.http.delete(path)
        assert (response.status_code, response.json()["code"]) == (409, "operation-committed")
        assert f"POST /tenants/{before['tenantId']}/deletion" in response.json()["detail"]
    assert await service.status(before["workflowId"]) == before
