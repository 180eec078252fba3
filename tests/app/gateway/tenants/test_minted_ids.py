"""A tenant id chosen by the caller is an idempotency key, and is free again if the creation ends without a tenant."""

from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import httpx
import pytest
from temporalio.client import Client, WorkflowFailureError

from app.settings import Settings
from tests.app.gateway.conftest import working
from tests.app.gateway.requests import assert_problem, create, faults, tenant, tenant_with_admin
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys
from workflows.tenants.request import TenantCreationInput

pytestmark = pytest.mark.anyio

REVOKE = "INSERT INTO alga_tenants.cancellations (workflow_id, run_id, cancelled_by) VALUES ($1, $2, 'gateway')"
WAIT = {"Prefer": "wait=20"}


def minted(**changes: Any) -> dict[str, Any]:
    """Return a valid request with a new tenant id."""
    return tenant(tenantId=str(uuid4()), **changes)


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


async def end(client: Client, created: dict[str, Any]) -> None:
    """Terminate the workflow of the operation, which then has failed."""
    await client.get_workflow_handle(created["workflowId"]).terminate()


async def runs(database: asyncpg.Connection, created: dict[str, Any]) -> int:
    """Return how often the operation was started."""
    count = "SELECT count(*) FROM alga_tenants.operations WHERE workflow_id = $1"
    return int(await database.fetchval(count, created["workflowId"]))


async def test_a_repeated_body_returns_the_same_operation_with_or_without_a_key(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    body = minted()
    first = await create(http, body)
    for headers in ({}, key(), key()):
        assert await create(http, body, **headers) == first
    assert await runs(database, first) == 1


async def test_an_operation_started_with_a_key_is_found_without_it(http: httpx.AsyncClient) -> None:
    body = minted()
    first = await create(http, body, **key())
    assert await create(http, body) == first


async def test_a_generated_password_is_returned_only_once(http: httpx.AsyncClient) -> None:
    body = tenant_with_admin(password=None) | {"tenantId": str(uuid4())}
    first, again = await create(http, body), await create(http, body)
    assert "temporaryPassword" in first
    assert "temporaryPassword" not in again


@pytest.mark.parametrize("is_keyed", [False, True])
async def test_another_body_is_rejected(http: httpx.AsyncClient, *, is_keyed: bool) -> None:
    body = minted()
    await create(http, body)
    for change in ({"tenantName": "Another"}, {"licenseCount": 3}, {"adminUser": tenant()["adminUser"]}):
        response = await http.post("/tenants", json={**body, **change}, headers=key() if is_keyed else {})
        assert_problem(response, 409, "tenant-exists")
        assert list(faults(response)) == ["tenantId"]


async def test_the_same_body_of_another_caller_is_rejected(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys
) -> None:
    body = minted()
    await create(http, body)
    async with gateway.client(**{"X-API-Key": (await keys.create("another")).key}) as other:
        assert_problem(await other.post("/tenants", json=body), 409, "tenant-exists")


@pytest.mark.parametrize("is_used_before", [False, True], ids=["new", "freed"])
async def test_fifty_concurrent_requests_create_one_tenant(
    http: httpx.AsyncClient, temporal_client: Client, database: asyncpg.Connection, *, is_used_before: bool
) -> None:
    body = tenant_with_admin(password=None) | {"tenantId": str(uuid4())}
    if is_used_before:
        await end(temporal_client, await create(http, body))
    documents: list[dict[str, Any]] = []

    async def send(number: int) -> None:
        documents.append(await create(http, body, **(key() if number % 2 else {})))

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(send, number)
    assert {document["workflowId"] for document in documents} == {f"tenant-creation-{body['tenantId']}"}
    assert {document["status"] for document in documents} == {"queued"}
    assert sum("temporaryPassword" in document for document in documents) == 1
    assert await runs(database, documents[0]) == 1 + is_used_before


async def test_a_replay_returns_the_failure_and_a_new_request_starts_again(
    http: httpx.AsyncClient, temporal_client: Client, database: asyncpg.Connection
) -> None:
    body, used = minted(), key()
    first = await create(http, body, **used)
    await end(temporal_client, first)
    for _ in range(2):
        replayed = await create(http, body, **used)
        assert (replayed["status"], replayed["error"]["code"]) == ("failed", "ended-outside")
    assert await runs(database, first) == 1
    for path in (first["links"]["self"], f"/tenants/{first['tenantId']}/status"):
        assert (await http.get(path)).json()["status"] == "failed"
    assert (await create(http, body, **key()))["status"] == "queued"
    assert await runs(database, first) == 2
    for path in (first["links"]["self"], f"/tenants/{first['tenantId']}/status"):
        assert (await http.get(path)).json()["status"] == "queued", "a failed operation is not cached"
    assert (await create(http, body, **used))["status"] == "queued", "the newest run"
    assert await runs(database, first) == 2


async def test_a_tenant_id_whose_creation_failed_can_be_used_for_another_request(
    worked: httpx.AsyncClient, worked_settings: Settings
) -> None:
    body, other = minted(), tenant()
    async with working(worked_settings):
        taken = await worked.post("/tenants", json=other, headers=WAIT)
        assert taken.status_code == 201, taken.text
        failing = {**body, "adminUser": other["adminUser"]}
        failed = await worked.post("/tenants", json=failing, headers=WAIT)
        assert (failed.status_code, failed.json()["status"]) == (202, "failed")
        assert failed.json()["error"]["code"] == "duplicate-email"
        completed = await worked.post("/tenants", json=body, headers=WAIT)
        assert completed.status_code == 201, completed.text
        assert completed.json()["workflowId"] == failed.json()["workflowId"]
        assert (await worked.get(f"/tenants/{body['tenantId']}")).status_code == 200
        again = await worked.post("/tenants", json=body, headers=WAIT)
        assert (again.status_code, again.json()["result"]) == (201, completed.json()["result"])
        assert_problem(await worked.post("/tenants", json=failing), 409, "tenant-exists")


async def test_a_tenant_id_whose_creation_was_cancelled_can_be_used_again(
    worked: httpx.AsyncClient, worked_settings: Settings, temporal_client: Client
) -> None:
    body = minted()
    first = await create(worked, body)
    assert (await worked.delete(first["links"]["cancel"])).status_code == 202
    assert (await create(worked, body))["status"] == "cancelling", "nothing starts while the operation stops"
    async with working(worked_settings):
        with pytest.raises(WorkflowFailureError):
            await temporal_client.get_workflow_handle(first["workflowId"]).result()
        assert (await worked.get(first["links"]["self"])).json()["status"] == "cancelled"
        completed = await worked.post("/tenants", json=body, headers=WAIT)
        assert completed.status_code == 201, completed.text
    assert (await worked.get(first["links"]["self"])).json()["status"] == "completed"


async def test_a_tenant_id_whose_start_was_revoked_can_be_used_again(
    worked: httpx.AsyncClient, worked_settings: Settings, temporal_client: Client, database: asyncpg.Connection
) -> None:
    first = await create(worked)
    handle = temporal_client.get_workflow_handle(first["workflowId"])
    started = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes
    [message] = await temporal_client.data_converter.decode(started.input.payloads, [TenantCreationInput])
    await database.execute(REVOKE, first["workflowId"], message.origin.start_id)
    async with working(worked_settings):
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        assert (await worked.get(first["links"]["self"])).json()["status"] == "cancelled"
        completed = await worked.post("/tenants", json=tenant(tenantId=first["tenantId"]), headers=WAIT)
        assert completed.status_code == 201, completed.text
        assert completed.json()["workflowId"] == first["workflowId"]
