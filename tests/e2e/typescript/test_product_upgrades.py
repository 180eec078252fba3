"""Alga's account page upgrades its tenant from algadesk to psa by its TypeScript client."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.e2e.conftest import Service
from tests.e2e.obstacles import waiting
from tests.e2e.typescript.conftest import Call
from workflows.tenants.steps import APPLY_BLUEPRINT, PRODUCT_CHANGE

pytestmark = pytest.mark.anyio

# The step of a creation that writes the same table.
GRANTS = APPLY_BLUEPRINT


def start(service: Service, tenant_id: str) -> dict[str, Any]:
    """Return how Alga's server starts the workflow, which has no time limit and a fixed id."""
    asked = {"tenantId": tenant_id, "requestedByUserId": str(uuid4())}
    return {"taskQueue": service.task_queue, "workflowId": f"tenant-product-upgrade-{tenant_id}", "input": asked}


async def test_algas_client_upgrades_a_tenant_and_sees_its_states(
    service: Service, database: asyncpg.Connection, call: Call
) -> None:
    tenant_id = (await service.provision(productCode="algadesk"))["tenantId"]
    order = start(service, tenant_id)
    about = {"workflowId": order["workflowId"]}
    assert (await call("upgradeStatus", **about))["errors"][0]["name"] == "WorkflowNotFoundError"
    async with waiting(database, GRANTS, UUID(tenant_id)) as gate:
        assert "errors" not in await call("startUpgrade", **order)
        await gate.reached()
        again = await call("startUpgrade", **order)
        assert again["errors"][0]["name"] == "WorkflowExecutionAlreadyStartedError"
        running = (await call("upgradeStatus", **about))["value"]
        assert running == {"status": "RUNNING", "currentStep": "preflight", "completedSteps": []}
        await gate.open()
        result = (await call("result", **about))["value"]
    assert (result["productCode"], result["previousProductCode"]) == ("psa", "algadesk")
    assert (await call("upgradeStatus", **about))["value"] == {"status": "COMPLETED"}
    tenant = (await service.http.get(f"/tenants/{tenant_id}")).json()
    assert tenant["productCode"] == "psa"
    (operation,) = [item for item in tenant["operations"] if item["kind"] == PRODUCT_CHANGE.name]
    document = (await service.http.get(operation["link"])).json()
    assert (document["status"], document["requestedBy"]) == ("completed", None)
    assert document["parameters"] == {"productCode": "psa", "requestedByUserId": order["input"]["requestedByUserId"]}


async def test_an_upgrade_of_a_psa_tenant_changes_nothing_and_a_refused_one_says_why(
    service: Service, call: Call
) -> None:
    for product, suspended in (("psa", False), ("algadesk", True)):
        tenant_id = (await service.provision(productCode=product))["tenantId"]
        if suspended:
            path = f"/tenants/{tenant_id}/suspension"
            assert (await service.http.put(path, json={"reason": "unpaid"})).is_success
        order = start(service, tenant_id)
        await call("startUpgrade", **order)
        ended = await call("result", workflowId=order["workflowId"])
        status = (await call("upgradeStatus", workflowId=order["workflowId"]))["value"]["status"]
        if suspended:
            assert (status, ended["errors"][1]["type"]) == ("FAILED", "tenant-suspended")
            assert "reactivate it first" in ended["errors"][1]["message"]
        else:
            assert (status, ended["value"]["addedRows"]) == ("COMPLETED", {})
