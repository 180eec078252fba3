from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from activities.alga.passwords import PasswordHasher
from app.embedded.temporal import EmbeddedTemporal
from app.temporal.encryption import KEY_ID
from tests.e2e.conftest import SECRET, Service
from tests.support.tenants.rows import row_counts

pytestmark = pytest.mark.anyio

PLAIN, ENCRYPTED, ENCRYPTED_MEMO = {("json/plain", False)}, {("binary/encrypted", True)}, {("json/plain", True)}


def form(payload: Payload) -> tuple[str, bool]:
    """Return the encoding of a payload, and whether it is encrypted."""
    return payload.metadata["encoding"].decode(), KEY_ID in payload.metadata


async def start(service: Service, temporal: EmbeddedTemporal, **changes: Any) -> WorkflowHandle[Any, Any]:
    """Start a creation as Alga's TypeScript client does: plain JSON, directly in Temporal, with its own id."""
    client = await Client.connect(temporal.address)
    return await client.start_workflow(
        changes.pop("workflow", "tenantCreationWorkflow"),
        {
            "tenantName": "Direct",
            "adminUser": {
                "firstName": "Grace",
                "lastName": "Hopper",
                "email": f"Grace-{uuid4().hex}@Direct.example",
                "password": "securePassword123!",
            },
            "contractLine": "Time and Materials",
            # Each name can be tracked once.
            "skipCustomerTracking": True,
            **changes,
        },
        id=f"tenant-creation-1764000000000-{uuid4().hex[:8]}",
        task_queue=service.task_queue,
    )


async def test_a_creation_started_in_temporal_completes_and_is_visible_to_the_gateway(
    service: Service, database: asyncpg.Connection, temporal: EmbeddedTemporal
) -> None:
    handle = await start(service, temporal)
    result = await handle.result()
    assert set(result) == {
        "tenantId", "adminUserId", "clientId", "temporaryPassword", "emailSent", "success", "createdAt",
    }  # fmt: skip
    assert (result["temporaryPassword"], result["success"]) == ("", True)
    user = await database.fetchrow("SELECT * FROM users WHERE tenant = $1", result["tenantId"])
    assert user["email"] == user["email"].lower() == user["username"]
    assert PasswordHasher(SECRET).verify("securePassword123!", user["hashed_password"])
    document = await service.status(handle.id)
    assert (document["status"], document["tenantId"]) == ("completed", result["tenantId"])
    listed = (await service.http.get("/operations", params={"name": "direct"})).json()["operations"]
    assert handle.id in {operation["workflowId"] for operation in listed}


async def test_only_its_results_are_in_clear(service: Service, temporal: EmbeddedTemporal) -> None:
    handle = await start(service, temporal)
    await handle.result()
    assert (await handle.query("getState"))["step"] == "completed"
    forms: dict[str, set[tuple[str, bool]]] = {"input": set(), "memo": set(), "marker": set(), "result": set()}
    for event in (await handle.fetch_history()).events:
        started = event.workflow_execution_started_event_attributes
        ended = event.workflow_execution_completed_event_attributes
        memo = event.workflow_properties_modified_event_attributes.upserted_memo.fields
        forms["input"] |= {form(payload) for payload in started.input.payloads}
        forms["result"] |= {form(payload) for payload in ended.result.payloads}
        forms["memo"] |= {form(payload) for payload in memo.values()}
        # The SDK also stores the activity's name and times.
        results = event.marker_recorded_event_attributes.details["result"].payloads
        forms["marker"] |= {form(payload) for payload in results}
    assert forms == {"input": PLAIN, "memo": ENCRYPTED_MEMO, "marker": ENCRYPTED, "result": PLAIN}


async def test_it_can_read_failures_and_cancellations(service: Service, temporal: EmbeddedTemporal) -> None:
    service.worker.stop()
    try:
        handle = await start(service, temporal, contractLine="No such plan")
        await handle.signal("cancel", {"reason": "ordered by mistake", "cancelledBy": "ada"})
    finally:
        service.worker.start()
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    assert "ordered by mistake" in str(caught.value.cause)
    forms: dict[str, set[tuple[str, bool]]] = {"signal": set(), "failure": set(), "marker": set()}
    for event in (await handle.fetch_history()).events:
        signalled = event.workflow_execution_signaled_event_attributes
        ended = event.workflow_execution_failed_event_attributes
        forms["signal"] |= {form(payload) for payload in signalled.input.payloads}
        results = event.marker_recorded_event_attributes.details["result"].payloads
        forms["marker"] |= {form(payload) for payload in results}
        if ended.failure.HasField("encoded_attributes"):
            forms["failure"].add(form(ended.failure.encoded_attributes))
    assert forms == {"signal": PLAIN, "failure": PLAIN, "marker": ENCRYPTED}


async def test_it_can_read_that_its_input_was_rejected(service: Service, temporal: EmbeddedTemporal) -> None:
    handle = await start(service, temporal, checkoutSessionId="cs_1")
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    assert "checkoutSessionId: can't be served" in str(caught.value.cause)


async def test_the_algadesk_workflow_makes_an_algadesk_tenant(
    service: Service, database: asyncpg.Connection, temporal: EmbeddedTemporal
) -> None:
    handle = await start(service, temporal, workflow="algadeskTenantCreationWorkflow", contractLine=None)
    result = await handle.result()
    assert (
        await database.fetchval("SELECT product_code FROM tenants WHERE tenant = $1", result["tenantId"])
        == "algadesk"
    )
    assert await database.fetchval("SELECT count(*) FROM roles WHERE tenant = $1", result["tenantId"]) == 4


async def test_the_algadesk_workflow_warns_of_another_product(service: Service, temporal: EmbeddedTemporal) -> None:
    handle = await start(service, temporal, workflow="algadeskTenantCreationWorkflow", productCode="psa")
    document = await service.finished(handle.id)
    assert (document["status"], document["productCode"]) == ("completed", "algadesk")
    assert [(warning["code"], warning["field"]) for warning in document["warnings"]] == [
        ("ignored-field", "productCode")
    ]


async def test_a_creation_with_a_taken_id_does_not_delete_its_tenant(
    service: Service, database: asyncpg.Connection, temporal: EmbeddedTemporal
) -> None:
    tenant_id = (await service.provision())["tenantId"]
    before = await row_counts(database, tenant_id)
    handle = await start(service, temporal, tenantId=tenant_id)
    document = await service.finished(handle.id)
    assert (document["status"], document["error"]["code"]) == ("failed", "tenant-exists")
    assert await row_counts(database, tenant_id) == before


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"tenantName": ""}, "invalid-request", "tenantName"),
        (
            {"adminUser": {"firstName": "A", "lastName": "B", "email": "nowhere", "password": "correct horse"}},
            "invalid-request",
            "adminUser.email",
        ),
        ({"billingSource": "barter"}, "invalid-request", "billingSource"),
        ({"productCode": "crm"}, "invalid-request", "productCode"),
    ],
)
async def test_bad_input_fails_the_operation_and_names_the_field(
    service: Service, temporal: EmbeddedTemporal, changes: dict[str, Any], code: str, field: str
) -> None:
    handle = await start(service, temporal, **changes)
    document = await service.finished(handle.id)
    assert document["status"] == "failed"
    assert document["error"]["code"] == code
    assert document["error"]["errors"][0]["field"] == field


async def test_the_gateway_cancels_it_by_its_own_id(service: Service, temporal: EmbeddedTemporal) -> None:
    service.worker.stop()
    try:
        handle = await start(service, temporal)
        assert (await service.status(handle.id))["status"] == "queued"
        assert (await service.http.delete(f"/tenants/{handle.id}")).status_code == 202
    finally:
        service.worker.start()
    assert (await service.finished(handle.id))["status"] == "cancelled"
