"""A stranger can request a change of product, as Alga's server does, and can act in no one's name."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from temporalio.client import WorkflowExecutionStatus

from tests.attack.temporal.stranger import Stranger, clear, ended
from tests.e2e.conftest import Service
from tests.support.tenants.rows import fingerprints
from workflows.tenants.steps import PRODUCT_CHANGE, PRODUCT_CHANGE_WORKFLOW, PRODUCT_UPGRADE_WORKFLOW

pytestmark = pytest.mark.anyio

FORGED: dict[str, Any] = {"requestedBy": "key:root", "requestedVia": "key:root"}


async def test_a_forged_caller_is_not_believed(
    service: Service, database: asyncpg.Connection, stranger: Stranger
) -> None:
    tenant_id = (await service.provision(productCode="algadesk"))["tenantId"]
    argument = clear(
        {"tenantId": tenant_id, "requestedByUserId": "root", "origin": {**FORGED, "startId": str(uuid4())}}
    )
    workflow_id = f"tenant-product-upgrade-{tenant_id}"
    handle = await stranger.start(argument, workflow_type=PRODUCT_UPGRADE_WORKFLOW, workflow_id=workflow_id)
    assert await ended(handle) is WorkflowExecutionStatus.COMPLETED
    document = (await service.http.get(f"/operations/{workflow_id}")).json()
    assert (document["status"], document["requestedBy"]) == ("completed", None)
    callers = "SELECT caller FROM alga_tenants.audit_events WHERE tenant_id = $1 AND action = 'tenant.change_product'"
    assert await database.fetchval(callers, UUID(tenant_id)) == "temporal"


async def test_the_gateways_own_workflow_can_be_neither_started_nor_repeated(
    service: Service, database: asyncpg.Connection, stranger: Stranger
) -> None:
    desk, changed = [(await service.provision(productCode="algadesk"))["tenantId"] for _ in range(2)]
    body = {"productCode": "psa"}
    started = await service.http.post(f"/tenants/{changed}/product-change", json=body, headers={"Prefer": "wait=0"})
    workflow_id = started.json()["workflowId"]
    assert (await service.finished(workflow_id))["status"] == "completed"
    argument, memo = await stranger.input_of(workflow_id), await stranger.memo_of(workflow_id)
    await database.execute("UPDATE tenants SET product_code = 'algadesk' WHERE tenant = $1", UUID(changed))
    before = await fingerprints(database)
    forged = clear({"tenantId": desk, "tenantName": "Acme", "origin": {**FORGED, "startId": str(uuid4())}})
    for input_, given_memo, id_ in (
        ([forged], None, None),
        ([forged], None, PRODUCT_CHANGE.workflow_id(uuid4())),
        (argument, memo, workflow_id),
        (argument, memo, None),
    ):
        handle = await stranger.start(
            *input_, workflow_type=PRODUCT_CHANGE_WORKFLOW, workflow_id=id_, memo=given_memo
        )
        assert await ended(handle) is WorkflowExecutionStatus.FAILED
    after = await fingerprints(database)
    assert {table for table in before if before[table] != after[table]} == set()
