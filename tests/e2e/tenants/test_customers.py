"""A tenant is a customer in the management tenant, from its creation to its purge and its restore."""

import json
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from app.embedded.temporal import EmbeddedTemporal
from tests.e2e.commands import run_command
from tests.e2e.conftest import MANAGEMENT_TENANT, Service
from tests.e2e.deletions.test_deletion import delete
from tests.e2e.tenants.test_alga_client import start
from tests.support.tenants.rows import fingerprints
from tests.support.tenants.stripe import insert_management_tenant

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", autouse=True)
async def management(running: Service) -> None:
    database = await asyncpg.connect(running.installation.admin_database_url)
    await insert_management_tenant(database, MANAGEMENT_TENANT)
    await database.close()


async def customer(database: asyncpg.Connection, client_id: str) -> dict[str, Any]:
    """Return what the management tenant shows of a customer."""
    client = await database.fetchrow(
        "SELECT client_name, is_inactive FROM clients WHERE tenant = $1 AND client_id = $2",
        MANAGEMENT_TENANT,
        UUID(client_id),
    )
    contacts = await database.fetch(
        "SELECT full_name, is_inactive FROM contacts WHERE tenant = $1 AND client_id = $2",
        MANAGEMENT_TENANT,
        UUID(client_id),
    )
    tags = await database.fetch(
        "SELECT tag_text FROM tag_mappings m JOIN tag_definitions d USING (tenant, tag_id)"
        " WHERE m.tenant = $1 AND m.tagged_id = $2",
        MANAGEMENT_TENANT,
        UUID(client_id),
    )
    return {
        **dict(client),
        "contacts": {row["full_name"]: row["is_inactive"] for row in contacts},
        "tags": {row["tag_text"] for row in tags},
    }


async def test_the_customer_follows_its_tenant(service: Service, database: asyncpg.Connection) -> None:
    name = f"Bravo {uuid4().hex}"
    created = await service.provision(tenantName=name, skipCustomerTracking=False)
    tenant_id, client_id = created["tenantId"], created["result"]["customerClientId"]
    assert {step["name"]: step["status"] for step in created["steps"]}["track_customer"] == "completed"
    assert created["warnings"] == []
    query = "SELECT result->>'customerContactId' FROM alga_tenants.operations WHERE workflow_id = $1"
    assert await database.fetchval(query, created["workflowId"]) == created["result"]["customerContactId"]
    active = {"client_name": name, "is_inactive": False, "contacts": {"Ada Byron": False}, "tags": {"PSA Customer"}}
    cancelled = {
        "client_name": name,
        "is_inactive": True,
        "contacts": {"Ada Byron": True},
        "tags": {"PSA Customer", "Canceled"},
    }
    assert await customer(database, client_id) == active
    operation = await delete(service, tenant_id)
    await service.shown(operation["workflowId"], "awaiting_confirmation")
    assert await customer(database, client_id) == cancelled
    undone = await service.http.post(f"/tenants/{tenant_id}/deletion/undo", json={"reason": "paid"})
    assert undone.status_code == 202, undone.text
    await service.finished(operation["workflowId"])
    assert await customer(database, client_id) == active
    operation = await delete(service, tenant_id, export=True, confirm=True, gracePeriodDays=0)
    ended = await service.finished(operation["workflowId"])
    assert (ended["status"], ended["warnings"]) == ("completed", []), ended
    assert await customer(database, client_id) == cancelled
    [export] = (await service.http.get(f"/tenants/{tenant_id}/exports")).json()["exports"]
    restored = await service.http.post("/restores", json={"exportId": export["exportId"]})
    assert restored.status_code == 202, restored.text
    ended = await service.finished(restored.json()["workflowId"])
    assert ended["status"] == "completed", ended
    assert await customer(database, client_id) == active
    await delete(service, tenant_id)


async def test_a_second_sign_up_with_the_same_name_never_reaches_the_first_ones_customer(
    service: Service, database: asyncpg.Connection, temporal: EmbeddedTemporal
) -> None:
    name = f"Harbour {uuid4().hex}"
    first = await start(service, temporal, tenantName=name, skipCustomerTracking=False)
    tracked = await first.result()
    state = (await first.query("getState"))["customerTracking"]
    assert (state["clientId"], state["contactId"]) == (tracked["customerClientId"], tracked["customerContactId"])
    assert (state["clientReused"], state["contactReused"]) == (False, False)
    before = await fingerprints(database)
    second = await start(service, temporal, tenantName=name, skipCustomerTracking=False)
    result = await second.result()
    assert result["success"] is True
    assert "customerClientId" not in result
    document = await service.status(second.id)
    [warning] = document["warnings"]
    assert (document["status"], warning["code"], warning["step"]) == (
        "completed",
        "customer-name-taken",
        "track_customer",
    )
    assert tracked["customerClientId"] in warning["detail"]
    assert f"alga-tenants track {result['tenantId']}" in warning["detail"]
    assert (await second.query("getState"))["customerTracking"]["clientError"] == warning["detail"]
    after = await fingerprints(database, without=[result["tenantId"]])
    assert [table for table, rows in after.items() if rows != before[table]] == []
    # As the warning says:
    await database.execute(
        "UPDATE clients SET client_name = $2 WHERE client_id = $1", UUID(tracked["customerClientId"]), f"{name} Ltd"
    )
    shown = [await track(service, result["tenantId"]) for _ in range(2)]
    assert shown[0]["customer"]["clientId"] == shown[1]["customer"]["clientId"] != tracked["customerClientId"]
    assert (shown[0]["warnings"], shown[1]["customer"]["clientReused"]) == ([], True)


async def track(service: Service, tenant_id: str) -> dict[str, Any]:
    """Run the operator's command, and return what it has shown."""
    ran = await run_command(service, "track", tenant_id, "--json")
    assert ran.exit_code == 0, ran.output
    document: dict[str, Any] = json.loads(ran.stdout)
    return document


async def test_the_command_refuses_what_it_can_not_track(service: Service, database: asyncpg.Connection) -> None:
    tenant_id = (await service.provision())["tenantId"]
    operation = await delete(service, tenant_id)
    await service.shown(operation["workflowId"], "awaiting_confirmation")
    for refused, said in (
        (tenant_id, "operation-in-progress"),
        (str(uuid4()), "tenant-not-found"),
        (str(MANAGEMENT_TENANT), "management-tenant"),
    ):
        ran = await run_command(service, "track", refused)
        assert (ran.exit_code, said in ran.stderr) == (7, True), ran.output
    query = "SELECT count(*) FROM alga_tenants.audit_events WHERE action = 'tenant.track' AND tenant_id = $1"
    assert await database.fetchval(query, UUID(tenant_id)) == 0
