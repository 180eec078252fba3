"""Deletions by Alga's client, which starts and signals workflows in Temporal, in clear."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from tests.e2e.conftest import PATIENCE, Service
from tests.e2e.in_process import worker_in_process
from tests.support.tenants.rows import row_counts
from tests.support.waiting import wait_until
from workflows.tenants.steps import WIRE_DELETION_WORKFLOW

pytestmark = pytest.mark.anyio

ADA = UUID("3e0b0f5e-9d5a-4c55-8f0c-0d4b5a6c7d8e")
RECORD = "SELECT * FROM pending_tenant_deletions WHERE tenant = $1"
Handle = WorkflowHandle[Any, Any]


async def start(client: Client, queue: str, tenant_id: str, **changes: Any) -> Handle:
    argument = {"tenantId": tenant_id, "triggerSource": "nineminds_extension", "triggeredBy": str(ADA), **changes}
    workflow_id = f"tenant-deletion-{tenant_id}-{uuid4().int}"
    return await client.start_workflow(WIRE_DELETION_WORKFLOW, argument, id=workflow_id, task_queue=queue)


async def record_with(database: asyncpg.Connection, tenant_id: str, status: str) -> asyncpg.Record:
    """Return Alga's record of the deletion once it has this status."""

    async def has_status() -> bool:
        row = await database.fetchrow(RECORD, UUID(tenant_id))
        return row is not None and row["status"] == status

    await wait_until(has_status, timeout=PATIENCE)
    row = await database.fetchrow(RECORD, UUID(tenant_id))
    assert row is not None
    return row


@pytest.fixture
async def client(service: Service) -> Client:
    return await Client.connect(service.environment["TEMPORAL_ADDRESS"])


async def test_a_confirmed_deletion_leaves_nothing(
    service: Service, database: asyncpg.Connection, client: Client, wire_queue: str
) -> None:
    tenant_id = (await service.provision(tenantName="Wired"))["tenantId"]
    parent = await start(client, wire_queue, tenant_id, reason="contract ended", subscriptionExternalId="sub_1")
    record = await record_with(database, tenant_id, "awaiting_confirmation")
    assert (record["trigger_source"], record["subscription_external_id"]) == ("nineminds_extension", "sub_1")
    assert (record["triggered_by"], record["confirmed_by"]) == (ADA, None)
    deletion = client.get_workflow_handle(record["workflow_id"])
    shown = await service.shown(deletion.id, "awaiting_confirmation")
    assert (shown["kind"], shown["tenantName"], shown["requestedBy"]) == ("tenant_deletion", "Wired", "temporal")
    state = await deletion.query("getState")
    assert (state["deletionId"], state["status"]) == (str(record["deletion_id"]), "awaiting_confirmation")
    assert state["stats"]["userCount"] == 1
    await deletion.signal("confirmDeletion", {"type": "immediate", "confirmedBy": "extension:7"})
    result = await parent.result()
    assert (result["success"], result["status"], result["deletionId"]) == (True, "deleted", state["deletionId"])
    assert await row_counts(database, tenant_id) == {}
    document = (await service.http.get(f"/tenants/{tenant_id}/deletion")).json()
    assert document["deletedAt"] is not None
    certificate = (await service.http.get(f"/tenants/{tenant_id}/deletion/certificate")).json()
    assert (certificate["confirmedBy"], certificate["confirmedVia"]) == ("temporal", "temporal")
    query = "SELECT caller, on_behalf_of, details::text FROM alga_tenants.audit_events WHERE workflow_id = $1"
    events = await database.fetch(f"{query} AND action = 'tenant.confirm_deletion'", deletion.id)
    [(caller, person, details)] = [tuple(event) for event in events]
    assert (caller, person) == ("temporal", None)
    assert "extension:7" in details
    await service.finished(deletion.id)


async def test_a_rollback_puts_the_tenant_back(
    service: Service, database: asyncpg.Connection, client: Client, wire_queue: str
) -> None:
    tenant_id = (await service.provision())["tenantId"]
    parent = await start(client, wire_queue, tenant_id)
    await record_with(database, tenant_id, "awaiting_confirmation")
    await parent.signal("confirmDeletion", {"type": "90_days", "confirmedBy": str(ADA)})
    record = await record_with(database, tenant_id, "confirmed")
    assert (record["confirmation_type"], record["confirmed_by"]) == ("90_days", ADA)
    assert (record["deletion_scheduled_for"] - record["confirmed_at"]).days == 90
    await parent.signal("rollbackDeletion", {"reason": "paid again", "rolledBackBy": str(ADA)})
    assert (await parent.result())["status"] == "rolled_back"
    record = await record_with(database, tenant_id, "rolled_back")
    assert (record["rollback_reason"], record["rolled_back_by"]) == ("paid again", ADA)
    tenant = (await service.http.get(f"/tenants/{tenant_id}")).json()
    assert (tenant["userCount"], tenant["state"]) == (1, "active")


async def test_a_second_deletion_is_no_success_and_names_the_first_one(
    service: Service, database: asyncpg.Connection, client: Client, wire_queue: str
) -> None:
    tenant_id = (await service.provision())["tenantId"]
    both = [await start(client, wire_queue, tenant_id) for _ in range(2)]
    record = await record_with(database, tenant_id, "awaiting_confirmation")
    third = await start(client, wire_queue, tenant_id, triggerSource="stripe_webhook")
    refused = await third.result()
    assert (refused["success"], refused["status"]) == (False, "awaiting_confirmation")
    assert (refused["deletionId"], refused["workflowId"]) == (str(record["deletion_id"]), record["workflow_id"])
    await client.get_workflow_handle(record["workflow_id"]).signal("rollbackDeletion", {"reason": "enough"})
    results = [await handle.result() for handle in both]
    assert sorted(result["success"] for result in results) == [False, True]
    assert {result["deletionId"] for result in results} == {str(record["deletion_id"])}


async def test_a_deletion_that_algas_own_worker_has_open_is_refused(
    service: Service, database: asyncpg.Connection, client: Client, wire_queue: str
) -> None:
    tenant_id = (await service.provision())["tenantId"]
    await database.execute(
        "INSERT INTO pending_tenant_deletions (deletion_id, tenant, trigger_source, canceled_at,"
        " scheduled_deletion_date, workflow_id, status, stats_snapshot)"
        " VALUES ($1, $2, 'manual', now(), now(), 'algas-own', 'awaiting_confirmation', '{}')",
        uuid4(),
        UUID(tenant_id),
    )
    with pytest.raises(WorkflowFailureError) as refused:
        await (await start(client, wire_queue, tenant_id)).result()
    assert "algas-own" in str(refused.value.cause)
    assert (await service.http.get(f"/tenants/{tenant_id}")).json()["userCount"] == 1


async def test_with_two_persons_it_is_confirmed_over_http_alone(
    service: Service, database: asyncpg.Connection, client: Client
) -> None:
    tenant_id = (await service.provision())["tenantId"]
    async with worker_in_process(service, WIRE_DELETION="true", DELETION_TWO_PERSON="true") as queue:
        parent = await start(client, queue, tenant_id)
        record = await record_with(database, tenant_id, "awaiting_confirmation")
        await parent.signal("confirmDeletion", {"type": "immediate", "confirmedBy": str(ADA)})

        async def is_refused() -> bool:
            warnings = (await service.status(record["workflow_id"]))["warnings"]
            return any("DELETION_TWO_PERSON" in warning["detail"] for warning in warnings)

        await wait_until(is_refused, timeout=PATIENCE)
        confirmed = await service.http.post(f"/tenants/{tenant_id}/deletion/confirm", json={})
        assert confirmed.status_code == 202, confirmed.text
        assert (await record_with(database, tenant_id, "confirmed"))["confirmation_type"] == "30_days"
        undone = await service.http.post(f"/tenants/{tenant_id}/deletion/undo", json={"reason": "kept"})
        assert undone.status_code == 202, undone.text
        assert (await parent.result())["status"] == "rolled_back"
        assert (await record_with(database, tenant_id, "rolled_back"))["rollback_reason"] == "kept"


async def test_it_is_refused_and_the_setting_named_unless_it_is_on(service: Service, client: Client) -> None:
    tenant_id = (await service.provision())["tenantId"]
    with pytest.raises(WorkflowFailureError) as refused:
        await (await start(client, service.task_queue, tenant_id)).result()
    assert "WIRE_DELETION" in str(refused.value.cause)
    assert (await service.http.get(f"/tenants/{tenant_id}")).json()["state"] == "active"
