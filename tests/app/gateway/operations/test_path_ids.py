"""A UUID in a path is a tenant id, and anything else a workflow id."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from temporalio.client import Client, WorkflowFailureError

from app.settings import Settings
from tests.app.gateway.conftest import working
from tests.app.gateway.requests import assert_problem, create, tenant
from tests.app.gateway.rows import record
from workflows.tenants.steps import TENANT_CREATION_WORKFLOW

pytestmark = pytest.mark.anyio


def over_the_wire(tenant_id: UUID) -> dict[str, Any]:
    """Return the argument with which a client of Temporal requests the tenant."""
    return {**tenant(), "tenantId": str(tenant_id)}


async def test_the_status_of_a_tenant_may_be_of_an_operation_of_a_temporal_client(
    worked: httpx.AsyncClient, worked_settings: Settings, temporal_client: Client
) -> None:
    tenant_id, workflow_id = uuid4(), f"appliance-{uuid4()}"
    queue = worked_settings.temporal_task_queue
    assert_problem(await worked.get(f"/tenants/{tenant_id}/status"), 404, "operation-not-found")
    async with working(worked_settings):
        await temporal_client.execute_workflow(
            TENANT_CREATION_WORKFLOW, over_the_wire(tenant_id), id=workflow_id, task_queue=queue
        )
        paths = [f"/tenants/{tenant_id}/status", f"/tenants/{str(tenant_id).upper()}/status"]
        documents = [(await worked.get(path)).json() for path in paths]
        assert documents[0] == documents[1] == (await worked.get(f"/operations/{workflow_id}")).json()
        assert (documents[0]["workflowId"], documents[0]["status"]) == (workflow_id, "completed")
        # An operation that fails because the tenant exists did not create it.
        with pytest.raises(WorkflowFailureError):
            await temporal_client.execute_workflow(
                TENANT_CREATION_WORKFLOW, over_the_wire(tenant_id), id=f"appliance-{uuid4()}", task_queue=queue
            )
        assert (await worked.get(paths[0])).json() == documents[0]


async def test_the_status_of_a_tenant_is_that_of_the_open_creation_if_another_one_failed(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    created = await create(http)
    later = "UPDATE alga_tenants.operations SET started_at = now() + interval '1 hour', finished_at = now() WHERE "
    failed = await record(database, tenant_id=None, workflow_id=f"appliance-{uuid4()}", status="failed")
    await database.execute(f"{later} workflow_id = $1", failed)
    tenant_of = "UPDATE alga_tenants.operations SET tenant_id = $2 WHERE workflow_id = $1"
    await database.execute(tenant_of, failed, UUID(created["tenantId"]))
    assert (await http.get(f"/tenants/{created['tenantId']}/status")).json() == created


async def test_the_status_of_a_tenant_is_never_that_of_another_kind(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    tenant_id = uuid4()
    await record(database, tenant_id=tenant_id, kind="tenant_export", workflow_id=f"tenant-export-{uuid4()}")
    assert_problem(await http.get(f"/tenants/{tenant_id}/status"), 404, "operation-not-found")


@pytest.mark.parametrize("is_known", [True, False])
async def test_deleting_a_tenant_by_its_id_is_rejected_and_names_the_deletion(
    http: httpx.AsyncClient, *, is_known: bool
) -> None:
    created = await create(http)
    tenant_id = created["tenantId"] if is_known else str(uuid4())
    for path_id in (tenant_id, tenant_id.upper()):
        response = await http.delete(f"/tenants/{path_id}")
        assert_problem(response, 409, "deletion-required")
        assert f"/tenants/{tenant_id}/deletion" in response.json()["detail"]
    assert (await http.get(created["links"]["self"])).json()["status"] == "queued"


async def test_reading_a_tenant_by_a_workflow_id_names_the_path_of_the_operation(http: httpx.AsyncClient) -> None:
    created = await create(http)
    response = await http.get(f"/tenants/{created['workflowId']}")
    assert_problem(response, 404, "tenant-not-found")
    assert created["links"]["self"] in response.json()["detail"]


async def test_a_tenant_id_is_not_found_among_operations(http: httpx.AsyncClient) -> None:
    created = await create(http)
    path = f"/operations/{created['tenantId']}"
    assert_problem(await http.get(path), 404, "operation-not-found")
    assert_problem(await http.delete(path), 404, "operation-not-found")
    assert_problem(await http.post(f"{path}/resume"), 404, "operation-not-found")
