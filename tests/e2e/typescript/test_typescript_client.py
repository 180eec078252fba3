"""Alga's TypeScript client works in a namespace that holds our workflows, which encrypt what they store."""

import base64
import json
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from app.embedded.temporal import EmbeddedTemporal
from tests.e2e.conftest import PATIENCE, Service
from tests.e2e.obstacles import PASSING_ERROR, obstacle, waiting
from tests.e2e.typescript.conftest import Call
from tests.support.waiting import wait_until
from workflows.operations.messages import OPERATION_MEMO
from workflows.tenants.steps import CREATE_ADMIN_USER

pytestmark = pytest.mark.anyio

SECRET_NAME = "Unmistakable"


def start(service: Service, **changes: Any) -> dict[str, Any]:
    """Return how Alga's client starts a creation: plain JSON, with a workflow id of its own."""
    admin_user = {"firstName": "Grace", "lastName": "Hopper", "password": "securePassword123!"}
    return {
        "taskQueue": service.task_queue,
        "workflowId": f"tenant-creation-1764000000000-{uuid4().hex[:8]}",
        "request": {
            "tenantName": "Direct",
            "adminUser": {**admin_user, "email": f"grace-{uuid4().hex}@direct.example"},
            # Each name can be tracked once.
            "skipCustomerTracking": True,
            **changes,
        },
    }


async def test_it_creates_a_tenant_and_reads_state_and_result(service: Service, call: Call) -> None:
    created = (await call("create", **start(service)))["value"]
    assert created["result"].keys() == {
        "tenantId", "adminUserId", "clientId", "temporaryPassword", "emailSent", "success", "createdAt",
    }  # fmt: skip
    assert created["result"]["success"] is True
    assert created["state"]["step"] == "completed"
    health = await call("checkHealth", taskQueue=service.task_queue, workflowId=f"health-check-{uuid4()}")
    assert health["value"]["status"] == "healthy"


async def test_its_signals_change_and_cancel_a_creation(
    service: Service, database: asyncpg.Connection, call: Call
) -> None:
    changed, cancelled = uuid4(), uuid4()
    orders = {tenant_id: start(service, tenantId=str(tenant_id)) for tenant_id in (changed, cancelled)}
    rename = {"field": "tenantName", "value": "Renamed"}
    stop = {"reason": "ordered by mistake", "cancelledBy": "ada"}
    # They are still running when the signals arrive.
    async with (
        obstacle(database, CREATE_ADMIN_USER, changed, PASSING_ERROR),
        obstacle(database, CREATE_ADMIN_USER, cancelled, PASSING_ERROR),
    ):
        for tenant_id, signal in ((changed, ("update", rename)), (cancelled, ("cancel", stop))):
            assert await call("startAndSignal", **orders[tenant_id], signals=[signal]) == {"value": "RUNNING"}
        errors = (await call("result", workflowId=orders[cancelled]["workflowId"]))["errors"]
        await service.shown(orders[changed]["workflowId"], "retrying")
    assert errors[0]["name"] == "WorkflowFailedError"
    assert "ordered by mistake" in errors[1]["message"]
    result = (await call("result", workflowId=orders[changed]["workflowId"]))["value"]
    assert result["tenantId"] == str(changed)
    assert await database.fetchval("SELECT client_name FROM tenants WHERE tenant = $1", changed) == "Renamed"


async def test_it_lists_and_describes_workflows_whose_memos_are_encrypted(
    service: Service, database: asyncpg.Connection, temporal: EmbeddedTemporal, call: Call
) -> None:
    completed = (await service.provision(tenantName=SECRET_NAME))["workflowId"]
    order = start(service, tenantName=SECRET_NAME)
    await call("create", **order)
    failed = start(service, tenantName=SECRET_NAME, checkoutSessionId="cs_1")
    errors = (await call("create", **failed))["errors"]
    assert [error.get("type") for error in errors] == [None, "invalid-request"]
    tenant_id = uuid4()
    async with waiting(database, CREATE_ADMIN_USER, tenant_id) as gate:
        running = (await service.create(tenantId=str(tenant_id), tenantName=SECRET_NAME))["workflowId"]
        await gate.reached()
        statuses = {
            completed: "COMPLETED",
            order["workflowId"]: "COMPLETED",
            failed["workflowId"]: "FAILED",
            running: "RUNNING",
        }
        await wait_until_listed(temporal, statuses)
        listed = (await call("list"))["value"]
        described = (await call("describe", workflowIds=list(statuses)))["value"]
    for workflow_id, description in zip(statuses, described, strict=True):
        assert listed[workflow_id]["status"] == description["status"] == statuses[workflow_id]
        for memo in (listed[workflow_id]["memo"], description["memo"]):
            assert memo.keys() == {OPERATION_MEMO}
            assert SECRET_NAME.encode() not in base64.b64decode(memo[OPERATION_MEMO], validate=True)
        assert description["types"][0] == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
    await service.finished(running)


async def test_it_lists_and_describes_our_schedule(service: Service, call: Call) -> None:
    schedules = (await call("describeSchedules"))["value"]
    [ours] = [schedule for schedule in schedules if schedule["taskQueue"] == service.task_queue]
    assert ours == {
        "scheduleId": f"alga-tenants-maintenance-{service.task_queue}",
        "taskQueue": service.task_queue,
        "args": [],
    }


async def test_it_gets_an_error_for_result_and_state_of_an_operation_of_the_gateway(
    service: Service, call: Call
) -> None:
    """In the form of a memo, it would get ciphertext instead."""
    workflow_id = (await service.provision())["workflowId"]
    for command in ("result", "state"):
        [error] = (await call(command, workflowId=workflow_id))["errors"]
        assert error["message"] == "Unknown encoding: binary/encrypted"


async def test_the_codec_decrypts_a_memo_as_the_server_returns_it(
    service: Service, temporal: EmbeddedTemporal
) -> None:
    workflow_id = (await service.provision(tenantName=SECRET_NAME))["workflowId"]
    client = await Client.connect(temporal.address)
    description = await client.get_workflow_handle(workflow_id).describe()
    sealed = description.raw_info.memo.fields[OPERATION_MEMO]
    body = {
        "payloads": [
            {
                "metadata": {name: base64.b64encode(value).decode() for name, value in sealed.metadata.items()},
                "data": base64.b64encode(sealed.data).decode(),
            }
        ]
    }
    response = await service.http.post("/codec/decode", json=body, headers={"X-Namespace": "default"})
    assert response.status_code == 200, response.text
    [payload] = response.json()["payloads"]
    snapshot = json.loads(base64.b64decode(payload["data"]))
    assert (snapshot["status"], snapshot["tenantName"]) == ("completed", SECRET_NAME)


async def wait_until_listed(temporal: EmbeddedTemporal, statuses: dict[str, str]) -> None:
    """Return once Temporal's list, which is a moment late, has the workflows with these statuses."""
    client = await Client.connect(temporal.address)

    async def are_listed() -> bool:
        found = {item.id: item.status.name async for item in client.list_workflows() if item.status is not None}
        return statuses.items() <= found.items()

    await wait_until(are_listed, timeout=PATIENCE)
