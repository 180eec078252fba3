from typing import Any
from uuid import UUID, uuid4

import anyio
import asyncpg
import pytest

from tests.e2e.conftest import Service
from tests.e2e.obstacles import failing, waiting
from tests.support.rows import fingerprints, row_counts
from workflows.steps import Step

pytestmark = pytest.mark.anyio


@pytest.fixture
async def neighbours(service: Service) -> list[UUID]:
    """Two complete tenants."""
    return [UUID((await service.provision(productCode=product))["tenantId"]) for product in ("psa", "algadesk")]


async def test_the_neighbours_rows_stay_byte_for_byte_the_same(
    service: Service, database: asyncpg.Connection, neighbours: list[UUID]
) -> None:
    before = await fingerprints(database)
    created = await service.provision()
    assert await fingerprints(database, without=[created["tenantId"]]) == before
    for undo in (_fail, _cancel):
        with_created = await fingerprints(database)
        await undo(service, database, Step.SETTING_UP_DATA)
        assert await fingerprints(database) == with_created
    assert all([await row_counts(database, neighbour) for neighbour in neighbours])


@pytest.mark.parametrize("step", Step)
async def test_a_step_that_fails_for_good_leaves_nothing(
    service: Service, database: asyncpg.Connection, step: Step
) -> None:
    document = await _fail(service, database, step)
    assert document["status"] == "failed"
    assert document["error"]["step"] == step
    assert document["error"]["code"] == "constraint-violation"
    assert {taken["name"]: taken["status"] for taken in document["steps"]}[step] == "failed"
    assert await row_counts(database, document["tenantId"]) == {}


@pytest.mark.parametrize("step", Step)
async def test_a_cancel_in_any_step_leaves_nothing(
    service: Service, database: asyncpg.Connection, step: Step
) -> None:
    document = await _cancel(service, database, step)
    assert document["status"] == "cancelled"
    assert document["cancelReason"] == "a change of mind"
    assert document["cancelledBy"].startswith("key:")
    assert await row_counts(database, document["tenantId"]) == {}


async def test_a_finished_operation_can_not_be_cancelled(service: Service, database: asyncpg.Connection) -> None:
    document = await service.provision()
    answer = await service.http.delete(f"/tenants/{document['workflowId']}")
    assert answer.status_code == 409
    assert answer.json()["code"] == "operation-finished"
    assert await row_counts(database, document["tenantId"])


async def test_the_tenant_id_of_a_failed_creation_is_not_used_again(
    service: Service, database: asyncpg.Connection
) -> None:
    document = await _fail(service, database, Step.CREATING_TENANT)
    problem = await service.create(expected=409, tenantId=document["tenantId"])
    assert problem["errors"][0]["field"] == "tenantId"


async def test_the_operations_row_agrees_with_the_status(service: Service, database: asyncpg.Connection) -> None:
    document = await _fail(service, database, Step.CREATING_ADMIN_USER)
    row = await database.fetchrow(
        "SELECT * FROM alga_tenants.operations WHERE workflow_id = $1", document["workflowId"]
    )
    assert (row["status"], row["owns_tenant"], str(row["tenant_id"])) == ("failed", False, document["tenantId"])
    assert row["finished_at"] is not None


async def _fail(service: Service, database: asyncpg.Connection, step: Step) -> dict[str, Any]:
    tenant_id = uuid4()
    async with failing(database, step, tenant_id):
        started = await service.create(tenantId=str(tenant_id))
        return await service.finished(started["workflowId"])


async def _cancel(service: Service, database: asyncpg.Connection, step: Step) -> dict[str, Any]:
    tenant_id = uuid4()
    async with waiting(database, step, tenant_id) as gate:
        started = await service.create(tenantId=str(tenant_id))
        with anyio.fail_after(30):
            await gate.reached()
        answer = await service.http.delete(f"/tenants/{started['workflowId']}", params={"reason": "a change of mind"})
        assert answer.status_code == 202, answer.text
        assert answer.json()["status"] == "cancelling"
        await gate.open()
        return await service.finished(started["workflowId"])
