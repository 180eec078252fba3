"""Changes of the parameters of a waiting operation, on real processes over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.e2e.conftest import Service
from tests.e2e.obstacles import PARTS, obstacle

pytestmark = pytest.mark.anyio

PASSING = "RAISE EXCEPTION 'it will pass' USING ERRCODE = '40001'"


@asynccontextmanager
async def retrying(service: Service, database: asyncpg.Connection, step: str) -> AsyncIterator[dict[str, Any]]:
    """An operation whose step fails with a transient error until the end of the block."""
    tenant_id = uuid4()
    async with obstacle(database, step, tenant_id, PASSING):
        started = await service.create(tenantId=str(tenant_id), licenseCount=5)
        document = await service.shown(started["workflowId"], "retrying")
        assert document["nextTryAt"] is not None
        yield document


@pytest.mark.parametrize("step", PARTS)
async def test_a_change_before_the_commit_is_written_to_the_tenant(
    service: Service, database: asyncpg.Connection, step: str
) -> None:
    async with retrying(service, database, step) as document:
        path = f"/operations/{document['workflowId']}"
        changes = {"licenseCount": 12, "companyName": "Acme Corp", "contractLine": "Managed Services"}
        response = await service.http.patch(path, json=changes)
        assert response.status_code == 200, response.text
        response = await service.http.patch(path, json={"billingPlan": "Nothing"})
        assert (response.status_code, response.json()["code"]) == (422, "unknown-billing-plan")
    await service.http.post(f"{path}/resume")
    assert (await service.finished(document["workflowId"]))["status"] == "completed"
    row = await database.fetchrow("SELECT * FROM tenants WHERE tenant = $1", document["tenantId"])
    assert (row["licensed_user_count"], row["client_name"]) == (12, "Acme Corp")
    billing = "SELECT count(*) FROM default_billing_settings WHERE tenant = $1"
    assert await database.fetchval(billing, document["tenantId"]) == 1


async def test_a_change_of_a_completed_creation_is_rejected(service: Service) -> None:
    document = await service.provision()
    response = await service.http.patch(f"/operations/{document['workflowId']}", json={"addons": ["ai"]})
    assert (response.status_code, response.json()["code"]) == (409, "operation-finished")
