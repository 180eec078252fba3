"""A creation that fails or is cancelled writes nothing, in no table and for no tenant."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.e2e.conftest import Service, in_both_shapes
from tests.e2e.obstacles import failing, waiting
from tests.support.tenants.rows import fingerprints, row_counts
from workflows.tenants.steps import CREATE_TENANT, SET_UP_DATA

pytestmark = [pytest.mark.anyio, in_both_shapes]


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
    for end in (_fail, _cancel):
        with_created = await fingerprints(database)
        await end(service, database, SET_UP_DATA)
        assert await fingerprints(database) == with_created
    assert all([await row_counts(database, neighbour) for neighbour in neighbours])


async def test_a_delete_after_the_commit_is_refused_and_changes_nothing(
    service: Service, database: asyncpg.Connection
) -> None:
    document = await service.provision()
    before = await row_counts(database, document["tenantId"])
    refusals = {
        f"/tenants/{document['workflowId']}": "operation-committed",
        f"/operations/{document['workflowId']}": "operation-committed",
        f"/tenants/{document['tenantId']}": "deletion-required",
    }
    for path, code in refusals.items():
        response = await service.http.delete(path)
        assert (response.status_code, response.json()["code"]) == (409, code)
        assert f"/tenants/{document['tenantId']}/deletion" in response.json()["detail"]
    assert await row_counts(database, document["tenantId"]) == before
    assert await service.status(document["workflowId"]) == document


async def test_the_tenant_id_of_a_failed_creation_is_free_again(
    service: Service, database: asyncpg.Connection
) -> None:
    document = await _fail(service, database, CREATE_TENANT)
    again = await service.provision(tenantId=document["tenantId"])
    assert again["result"]["tenantId"] == document["tenantId"]


async def _fail(service: Service, database: asyncpg.Connection, step: str) -> dict[str, Any]:
    tenant_id = uuid4()
    async with failing(database, step, tenant_id):
        started = await service.create(tenantId=str(tenant_id))
        return await service.finished(started["workflowId"])


async def _cancel(service: Service, database: asyncpg.Connection, step: str) -> dict[str, Any]:
    tenant_id = uuid4()
    async with waiting(database, step, tenant_id) as gate:
        started = await service.create(tenantId=str(tenant_id))
        await gate.reached()
        assert (await service.http.delete(f"/tenants/{started['workflowId']}")).status_code == 202
        await gate.open()
        return await service.finished(started["workflowId"])
