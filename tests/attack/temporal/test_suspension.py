"""A stranger can neither suspend a tenant nor reactivate one, with words of its own or with ours."""

from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from temporalio.client import WorkflowExecutionStatus

from tests.attack.temporal.stranger import Stranger, clear, ended
from tests.e2e.conftest import Service
from tests.support.tenants.rows import fingerprints
from workflows.tenants.steps import REACTIVATION, REACTIVATION_WORKFLOW, SUSPENSION, SUSPENSION_WORKFLOW

pytestmark = pytest.mark.anyio

TYPES = {SUSPENSION_WORKFLOW: SUSPENSION, REACTIVATION_WORKFLOW: REACTIVATION}


async def change(service: Service, tenant_id: str, method: str) -> str:
    """Suspend or reactivate the tenant, and return the operation's workflow id."""
    body = {"reason": "unpaid"} if method == "PUT" else None
    started = await service.http.request(
        method, f"/tenants/{tenant_id}/suspension", json=body, headers={"Prefer": "wait=0"}
    )
    assert started.status_code == 202, started.text
    workflow_id: str = started.json()["workflowId"]
    assert (await service.finished(workflow_id))["status"] == "completed"
    return workflow_id


@pytest.mark.parametrize("workflow_type", TYPES)
@pytest.mark.parametrize("has_our_id", [False, True])
async def test_a_start_in_clear_is_refused(
    service: Service, database: asyncpg.Connection, stranger: Stranger, workflow_type: str, has_our_id: bool
) -> None:
    tenant_id = (await service.provision())["tenantId"]
    if workflow_type == REACTIVATION_WORKFLOW:
        await change(service, tenant_id, "PUT")
    before = await fingerprints(database)
    forged: dict[str, Any] = {"requestedBy": "key:root", "requestedVia": "key:root", "startId": str(uuid4())}
    argument = clear({"tenantId": tenant_id, "tenantName": "Acme", "reason": "mine", "origin": forged})
    workflow_id = TYPES[workflow_type].workflow_id(uuid4()) if has_our_id else None
    handle = await stranger.start(argument, workflow_type=workflow_type, workflow_id=workflow_id)
    assert await ended(handle) is WorkflowExecutionStatus.FAILED
    response = await service.http.get(f"/operations/{handle.id}")
    if has_our_id:
        assert response.status_code == 404
    else:
        document = response.json()
        assert (document["status"], document["requestedBy"]) == ("failed", None)
        assert "only the gateway starts workflows of this type; use its HTTP API" in document["error"]["detail"]
    after = await fingerprints(database)
    assert {table for table in before if before[table] != after[table]} == set()


async def test_an_operation_of_ours_can_not_be_repeated(
    service: Service, database: asyncpg.Connection, stranger: Stranger
) -> None:
    """By sending again what stands in its history, under its own id or another one."""
    tenant_id = (await service.provision())["tenantId"]
    await change(service, tenant_id, "PUT")
    workflow_id = await change(service, tenant_id, "DELETE")
    argument, memo = await stranger.input_of(workflow_id), await stranger.memo_of(workflow_id)
    await change(service, tenant_id, "PUT")
    before = await fingerprints(database)
    for other in (workflow_id, REACTIVATION.workflow_id(uuid4()), None):
        handle = await stranger.start(*argument, workflow_type=REACTIVATION_WORKFLOW, workflow_id=other, memo=memo)
        assert await ended(handle) is WorkflowExecutionStatus.FAILED
    after = await fingerprints(database)
    assert {table for table in before if before[table] != after[table]} == set()
    assert (await service.http.get(f"/tenants/{tenant_id}")).json()["state"] == "suspended"
