"""Gateways that may delete tenants, without a worker: a test writes the rows that a worker would."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from app.settings import Settings
from tests.app.gateway.rows import insert
from tests.app.gateway.server import RunningGateway

MANAGEMENT_TENANT = uuid4()


@pytest.fixture(scope="session")
def deleting_settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"master_billing_tenant_id": MANAGEMENT_TENANT})


@pytest.fixture(scope="session")
def deleting(deleting_settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    with RunningGateway(deleting_settings, api_key) as server:
        yield server


@pytest.fixture(scope="session")
def two_person_gateway(deleting_settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    settings = deleting_settings.model_copy(update={"deletion_two_person": True})
    with RunningGateway(settings, api_key) as server:
        yield server


@pytest.fixture
async def http(deleting: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with deleting.client() as client:
        yield client


async def request(http: httpx.AsyncClient, tenant_id: UUID, **body: Any) -> dict[str, Any]:
    """Request a deletion, and return its operation."""
    response = await http.post(
        f"/tenants/{tenant_id}/deletion", json={"reason": "contract ended", "export": False, **body}
    )
    assert response.status_code == 202, response.text
    operation: dict[str, Any] = response.json()
    return operation


async def begin(database: asyncpg.Connection, operation: dict[str, Any], **row: Any) -> None:
    """Insert the row of a deletion, as the first step of its workflow does."""
    workflow_id = operation["workflowId"]
    run_id = await database.fetchval("SELECT run_id FROM alga_tenants.operations WHERE workflow_id = $1", workflow_id)
    known = {
        "workflow_id": workflow_id,
        "run_id": run_id,
        "deletion_id": uuid4(),
        "tenant_id": UUID(operation["tenantId"]),
        "grace_period_days": operation["parameters"]["gracePeriodDays"],
        "requested_by": operation["requestedBy"],
        "requested_via": operation["requestedVia"],
    }
    await insert(database, "alga_tenants.deletions", **{**known, **row})
