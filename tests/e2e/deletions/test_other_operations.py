"""Deletions beside other operations on the same tenant: one at a time, and each whole."""

from typing import Any
from uuid import UUID, uuid4

import anyio
import asyncpg
import httpx
import pytest

from tests.e2e.conftest import PATIENCE, Service
from tests.e2e.deletions.places import BEGIN, SUSPENDING, add_places
from tests.e2e.deletions.test_contention import BUSY
from tests.e2e.deletions.test_deletion import delete, read
from tests.e2e.deletions.test_export_before import check_undone, rows_of, send
from tests.e2e.in_process import gateway_in_process
from tests.e2e.obstacles import waiting
from tests.support.waiting import wait_until
from workflows.tenants.steps import SET_UP_DATA

pytestmark = pytest.mark.anyio

CALLERS = 12
DELETION: dict[str, Any] = {"reason": "contract ended", "export": False}
SUSPENSION: dict[str, Any] = {"reason": "unpaid"}


class Callers:
    """Requests to several gateways for one tenant."""

    def __init__(self, tenant_id: str, *gateways: httpx.AsyncClient) -> None:
        self._path = f"/tenants/{tenant_id}"
        self._gateways = gateways
        self.responses: list[httpx.Response] = []

    async def insist(self, number: int, method: str, resource: str, body: dict[str, Any]) -> None:
        """Send a request, and repeat it while others are ahead for too long."""
        client = self._gateways[number % len(self._gateways)]

        async def is_settled() -> bool:
            response = await client.request(
                method, f"{self._path}/{resource}", json=body, headers={"Prefer": "wait=0"}
            )
            if response.status_code not in BUSY:
                self.responses.append(response)
            return response.status_code not in BUSY

        await wait_until(is_settled, timeout=PATIENCE)

    async def delete(self, number: int) -> None:
        await self.insist(number, "POST", "deletion", DELETION)

    async def suspend(self, number: int) -> None:
        await self.insist(number, "PUT", "suspension", SUSPENSION)


def assert_in_progress(response: httpx.Response, workflow_id: str) -> None:
    assert (response.status_code, response.json()["code"]) == (409, "operation-in-progress"), response.text
    assert workflow_id in response.json()["detail"]


# A worker is faster than the gateway once in a while.
MAX_STARTS = 10


async def operations_of(service: Service, tenant_id: str, kind: str) -> list[dict[str, Any]]:
    response = await service.http.get("/operations", params={"tenantId": tenant_id, "kind": kind})
    operations: list[dict[str, Any]] = response.raise_for_status().json()["operations"]
    return operations


async def test_an_open_suspension_keeps_a_deletion_from_starting(
    service: Service, database: asyncpg.Connection
) -> None:
    await add_places(database)
    for _ in range(MAX_STARTS):
        tenant_id = (await service.provision())["tenantId"]
        callers = Callers(tenant_id, service.http)
        async with waiting(database, SUSPENDING, UUID(tenant_id)) as gate:
            await callers.suspend(0)
            await gate.reached()
            # A worker that is faster than the gateway writes the row in the transaction that waits here.
            is_visible = await operations_of(service, tenant_id, "tenant_suspension")
            if is_visible:
                await callers.delete(0)
        if is_visible:
            break
    suspension, refused = callers.responses
    assert_in_progress(refused, suspension.json()["workflowId"])
    assert (await service.finished(suspension.json()["workflowId"]))["status"] == "completed"


async def test_an_open_deletion_keeps_a_suspension_from_starting(
    service: Service, database: asyncpg.Connection
) -> None:
    await add_places(database)
    for _ in range(MAX_STARTS):
        tenant_id = (await service.provision())["tenantId"]
        callers, before = Callers(tenant_id, service.http), await rows_of(database, tenant_id)
        async with waiting(database, BEGIN, UUID(tenant_id)) as gate:
            deletion = await delete(service, tenant_id)
            await gate.reached()
            # Of its first transaction, nothing can be seen.
            is_visible = await operations_of(service, tenant_id, "tenant_deletion")
            if is_visible:
                await callers.suspend(0)
        await service.shown(deletion["workflowId"], "awaiting_confirmation")
        await callers.suspend(0)
        for refused in callers.responses:
            assert_in_progress(refused, deletion["workflowId"])
        await send(service, f"/tenants/{tenant_id}/deletion/undo")
        await check_undone(service, database, tenant_id, before)
        if is_visible:
            break
    assert is_visible


async def test_many_suspensions_and_deletions_at_once_are_one_of_each_at_most_and_undone_to_the_last_row(
    service: Service, database: asyncpg.Connection
) -> None:
    tenant_id = (await service.provision())["tenantId"]
    before = await rows_of(database, tenant_id)
    async with gateway_in_process(service) as second, second.client() as other:
        callers = Callers(tenant_id, service.http, other)
        async with anyio.create_task_group() as group:
            for number in range(CALLERS):
                group.start_soon(callers.suspend, number)
                group.start_soon(callers.delete, number // 2)
    suspensions = await operations_of(service, tenant_id, "tenant_suspension")
    deletions = await operations_of(service, tenant_id, "tenant_deletion")
    assert max(len(suspensions), len(deletions)) == 1
    [open_id] = [operation["workflowId"] for operation in deletions] or [
        (await delete(service, tenant_id))["workflowId"]
    ]
    started = {operation["workflowId"] for operation in (*suspensions, *deletions)}
    for response in callers.responses:
        assert response.status_code in {200, 202, 409}, response.text
        if response.status_code == 409:
            assert response.json()["code"] == "operation-in-progress"
            assert any(workflow_id in response.json()["detail"] for workflow_id in started)
    await service.shown(open_id, "awaiting_confirmation")
    await send(service, f"/tenants/{tenant_id}/deletion/undo")
    assert (await service.finished(open_id))["status"] == "cancelled"
    assert (await read(service, tenant_id))["state"] == ("suspended" if suspensions else "active")
    if suspensions:
        assert suspensions[0]["status"] == "completed"
        reactivated = await service.http.delete(f"/tenants/{tenant_id}/suspension")
        assert reactivated.status_code == 200, reactivated.text
    assert await rows_of(database, tenant_id) == before


async def test_an_open_creation_keeps_deletions_of_its_tenant_from_starting_and_an_open_deletion_a_creation(
    service: Service, database: asyncpg.Connection
) -> None:
    tenant_id = str(uuid4())
    callers = Callers(tenant_id, service.http)
    async with waiting(database, SET_UP_DATA, UUID(tenant_id)) as gate:
        creation = await service.create(tenantId=tenant_id)
        await gate.reached()
        async with anyio.create_task_group() as group:
            for number in range(CALLERS):
                group.start_soon(callers.delete, number)
                group.start_soon(callers.suspend, number)
    for response in callers.responses:
        assert_in_progress(response, creation["workflowId"])
    created = await service.finished(creation["workflowId"])
    assert (created["status"], created["warnings"]) == ("completed", [])
    for kind in ("tenant_deletion", "tenant_suspension"):
        assert await operations_of(service, tenant_id, kind) == []
    before = await rows_of(database, tenant_id)
    deletion = await delete(service, tenant_id)
    await service.shown(deletion["workflowId"], "awaiting_confirmation")
    await service.create(expected=409, tenantId=tenant_id)
    await send(service, f"/tenants/{tenant_id}/deletion/undo")
    await check_undone(service, database, tenant_id, before)
