"""Deletions that meet others: each other, their undo, and a session that holds a row of the tenant."""

from typing import Any
from uuid import UUID

import anyio
import asyncpg
import httpx
import pytest

from tests.e2e.conftest import PATIENCE, Service
from tests.e2e.deletions.test_deletion import delete, read
from tests.e2e.in_process import gateway_in_process
from tests.support.tenants.rows import row_counts
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("running")]

CALLERS = 50
BUSY = {503, 504}


async def test_fifty_simultaneous_deletions_are_one_and_of_confirmation_and_undo_one_wins(
    service: Service, database: asyncpg.Connection
) -> None:
    tenant_id = (await service.provision())["tenantId"]
    before = await row_counts(database, tenant_id)
    body: dict[str, Any] = {"reason": "contract ended", "export": False, "gracePeriodDays": 0}
    responses: list[httpx.Response] = []
    async with gateway_in_process(service) as second, second.client() as other:
        gateways = (service.http, other)

        async def insist(client: httpx.AsyncClient, step: str, given: dict[str, Any]) -> None:
            """Repeat while others are ahead for too long."""
            path = f"/tenants/{tenant_id}/deletion{step}"

            async def is_settled() -> bool:
                response = await client.post(path, json=given)
                if response.status_code not in BUSY:
                    responses.append(response)
                return response.status_code not in BUSY

            await wait_until(is_settled, timeout=PATIENCE)

        async with anyio.create_task_group() as group:
            for number in range(CALLERS):
                group.start_soon(insist, gateways[number % 2], "", body)
        assert {response.status_code for response in responses} == {202}
        [workflow_id] = {response.json()["workflowId"] for response in responses}
        rows = "SELECT count(*) FROM alga_tenants.operations WHERE tenant_id = $1 AND kind = 'tenant_deletion'"
        assert await database.fetchval(rows, UUID(tenant_id)) == 1
        await service.shown(workflow_id, "awaiting_confirmation")
        responses.clear()
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(insist, gateways[number % 2], "/confirm", {})
                group.start_soon(insist, gateways[number // 2 % 2], "/undo", {"reason": "paid"})
    assert {response.status_code for response in responses} <= {202, 409}
    ended = await service.finished(workflow_id)
    certificate = await service.http.get(f"/tenants/{tenant_id}/deletion/certificate")
    left = await row_counts(database, tenant_id)
    left.pop("pending_tenant_deletions", None)
    if ended["status"] == "completed":
        assert (certificate.status_code, left) == (200, {})
    else:
        assert (ended["status"], certificate.status_code, left) == ("cancelled", 404, before)
        assert (await read(service, tenant_id))["state"] == "active"


async def test_a_purge_that_waits_for_a_row_names_its_holder_and_completes_once_that_is_gone(
    service: Service, database: asyncpg.Connection
) -> None:
    tenant_id = (await service.provision())["tenantId"]
    holder = await asyncpg.connect(
        service.installation.admin_database_url, server_settings={"application_name": "somebody's report"}
    )

    async def is_logged() -> bool:
        lines = [line for file in service.logs.glob("worker*.log") for line in file.read_text().splitlines()]
        return any("a purge waits for a lock" in line and "somebody's report" in line for line in lines)

    try:
        async with holder.transaction():
            await holder.execute("SELECT FROM tenant_settings WHERE tenant = $1 FOR UPDATE", UUID(tenant_id))
            operation = await delete(service, tenant_id, confirm=True, gracePeriodDays=0)
            blocked = await service.shown(operation["workflowId"], "retrying")
            await wait_until(is_logged, timeout=PATIENCE)
        assert (blocked["step"], blocked["error"]["code"]) == ("purge", "lock-timeout")
        for part in (f"pid {holder.get_server_pid()}", "somebody's report", "tenant_settings"):
            assert part in blocked["error"]["detail"]
    finally:
        await holder.close()
    ended = await service.finished(operation["workflowId"])
    assert ended["status"] == "completed", ended
    assert await row_counts(database, tenant_id) == {}
