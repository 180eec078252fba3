from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from app.embedded.temporal import EmbeddedTemporal
from tests.e2e.conftest import Service

pytestmark = pytest.mark.anyio


async def test_a_foreign_workflow_is_a_404_to_every_route_and_is_never_touched(
    service: Service, temporal: EmbeddedTemporal
) -> None:
    client = await Client.connect(temporal.address)
    workflow_id = f"tenant-creation-{uuid4()}"
    handle = await client.start_workflow("somebodyElsesWorkflow", id=workflow_id, task_queue="nobody-polls-this")
    try:
        for path in (f"/operations/{workflow_id}", f"/tenants/{workflow_id}/status"):
            assert (await service.http.get(path)).status_code == 404
        for path in (f"/operations/{workflow_id}", f"/tenants/{workflow_id}"):
            assert (await service.http.delete(path)).status_code == 404
        description = await handle.describe()
        assert description.status is WorkflowExecutionStatus.RUNNING
        assert description.history_length == 2
    finally:
        await handle.terminate()
