from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from tests.app.gateway.requests import assert_problem, create, faults
from tests.app.gateway.rows import record, snapshot, start
from workflows.operations.messages import Cancellation
from workflows.operations.statuses import OperationStatus

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
CANCELLATION = "SELECT * FROM alga_tenants.cancellations WHERE workflow_id = $1"
COMMIT = "UPDATE alga_tenants.operations SET committed_at = now(), status = 'running' WHERE workflow_id = $1"


async def signals(client: Client, workflow_id: str) -> list[Cancellation]:
    """Return the arguments of the workflow's `cancel` signals."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    found = []
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            attributes = event.workflow_execution_signaled_event_attributes
            assert attributes.signal_name == "cancel"
            found += await client.data_converter.decode(attributes.input.payloads, [Cancellation])
    return found


async def test_a_cancel_is_shown_at_once_and_sent_to_the_workflow(
    http: httpx.AsyncClient, temporal_client: Client
) -> None:
    created = await create(http)
    response = await http.request("DELETE", created["links"]["cancel"], json={"reason": "ordered by mistake"})
    document = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == created["links"]["self"]
    assert response.headers["retry-after"] == "1"
    assert (document["status"], document["cancellable"]) == ("cancelling", False)
    assert (document["cancelledBy"], document["cancelReason"]) == (created["requestedBy"], "ordered by mistake")
    assert (await http.get(created["links"]["self"])).json()["status"] == "cancelling"
    assert await signals(temporal_client, created["workflowId"]) == [
        Cancellation(
            reason="ordered by mistake",
            by=created["requestedBy"],
            via=created["requestedVia"],
        )
    ]


@pytest.mark.parametrize(
    ("query", "body", "reason"),
    [
        ("query", None, "query"),
        (None, {"reason": "body"}, "body"),
        ("query", {"reason": "body"}, "body"),
        ("query", {}, "query"),
        (None, {"reason": None}, None),
        (None, None, None),
        ("two\nlines", None, "two\nlines"),
    ],
)
async def test_the_reason_is_in_the_query_or_the_body(
    http: httpx.AsyncClient, query: str | None, body: Any, reason: str | None
) -> None:
    path = (await create(http))["links"]["cancel"]
    params = {"reason": query} if query is not None else {}
    response = await http.request("DELETE", path, params=params, json=body)
    assert (response.status_code, response.json()["cancelReason"]) == (202, reason)


@pytest.mark.parametrize("reason", ["nul\0", "\x1b[31m", "x" * 501, 5])
async def test_an_invalid_reason_is_rejected_and_nothing_is_cancelled(http: httpx.AsyncClient, reason: Any) -> None:
    created = await create(http)
    response = await http.request("DELETE", created["links"]["cancel"], json={"reason": reason})
    assert_problem(response, 422, "invalid-request")
    assert list(faults(response)) == ["reason"]
    assert (await http.get(created["links"]["self"])).json()["status"] == "queued"


async def test_an_invalid_reason_in_the_query_is_rejected(http: httpx.AsyncClient) -> None:
    response = await http.delete((await create(http))["links"]["cancel"], params={"reason": "nul\0"})
    assert_problem(response, 422, "invalid-request")


async def test_a_second_cancel_is_harmless(http: httpx.AsyncClient, temporal_client: Client) -> None:
    created = await create(http)
    for _ in range(2):
        assert (await http.delete(created["links"]["cancel"])).status_code == 202
    assert len(await signals(temporal_client, created["workflowId"])) == 1


@pytest.mark.parametrize("status", [OperationStatus.CANCELLING, OperationStatus.ROLLING_BACK])
async def test_cancelling_a_stopping_operation_changes_nothing(
    http: httpx.AsyncClient, temporal_client: Client, status: OperationStatus
) -> None:
    workflow_id = await start(temporal_client, snapshot(status, uuid4()))
    response = await http.delete(f"/operations/{workflow_id}")
    assert (response.status_code, response.json()["status"]) == (202, status)
    assert await signals(temporal_client, workflow_id) == []


async def test_a_creation_is_cancelled_at_the_path_of_tenants(
    http: httpx.AsyncClient, temporal_client: Client
) -> None:
    created = await create(http)
    response = await http.request(
        "DELETE", f"/tenants/{created['workflowId']}", json={"reason": "ordered by mistake"}
    )
    assert (response.status_code, response.json()["status"]) == (202, "cancelling")
    assert response.headers["location"] == created["links"]["self"]
    [cancellation] = await signals(temporal_client, created["workflowId"])
    assert cancellation.reason == "ordered by mistake"


async def test_a_cancel_prevents_the_commit_of_a_running_transaction(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    created = await create(http)
    await http.delete(created["links"]["cancel"], params={"reason": "a change of mind"})
    row = await database.fetchrow(CANCELLATION, created["workflowId"])
    assert row is not None
    assert (row["cancelled_by"], row["reason"]) == (created["requestedBy"], "a change of mind")
    run_id = "SELECT run_id FROM alga_tenants.operations WHERE workflow_id = $1"
    assert row["run_id"] == await database.fetchval(run_id, created["workflowId"])


@pytest.mark.parametrize("path", ["/operations", "/tenants"])
@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "about to close"])
async def test_cancelling_a_completed_creation_is_rejected_and_names_the_deletion(
    http: httpx.AsyncClient, temporal_client: Client, path: str, *, is_closed: bool
) -> None:
    tenant_id = uuid4()
    workflow_id = await start(temporal_client, snapshot(OperationStatus.COMPLETED, tenant_id, committed_at=NOON))
    if is_closed:
        await temporal_client.get_workflow_handle(workflow_id).terminate()
    response = await http.delete(f"{path}/{workflow_id}")
    assert_problem(response, 409, "operation-committed")
    assert f"POST /tenants/{tenant_id}/deletion" in response.json()["detail"]


@pytest.mark.parametrize("path", ["/operations", "/tenants"])
async def test_cancelling_a_committed_creation_with_pending_steps_is_rejected(
    http: httpx.AsyncClient, temporal_client: Client, path: str
) -> None:
    tenant_id = uuid4()
    workflow_id = await start(temporal_client, snapshot(OperationStatus.RUNNING, tenant_id, committed_at=NOON))
    document = (await http.get(f"/operations/{workflow_id}")).json()
    assert (document["cancellable"], document["links"].get("cancel")) == (False, None)
    assert document["links"]["tenant"] == f"/tenants/{tenant_id}"
    response = await http.delete(f"{path}/{workflow_id}")
    assert_problem(response, 409, "operation-committed")
    assert f"POST /tenants/{tenant_id}/deletion" in response.json()["detail"]
    assert await signals(temporal_client, workflow_id) == []


async def test_a_cancel_after_a_commit_that_only_the_row_shows_is_rejected(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    created = await create(http)
    await database.execute(COMMIT, created["workflowId"])
    response = await http.delete(created["links"]["cancel"])
    assert_problem(response, 409, "operation-committed")
    assert f"POST /tenants/{created['tenantId']}/deletion" in response.json()["detail"]
    assert await database.fetchrow(CANCELLATION, created["workflowId"]) is None


async def test_cancelling_a_terminated_operation_is_rejected(
    http: httpx.AsyncClient, temporal_client: Client
) -> None:
    created = await create(http)
    await temporal_client.get_workflow_handle(created["workflowId"]).terminate()
    assert_problem(await http.delete(created["links"]["cancel"]), 409, "operation-finished")
    description = await temporal_client.get_workflow_handle(created["workflowId"]).describe()
    assert description.workflow_type == "tenantCreationWorkflow"


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"status": "failed", "finished_at": NOON}, "operation-finished"),
        ({"status": "running"}, "operation-finished"),
        ({"status": "running", "committed_at": NOON}, "operation-committed"),
    ],
    ids=["failed", "lost", "committed"],
)
async def test_cancelling_an_operation_that_only_has_a_row_is_rejected(
    http: httpx.AsyncClient, database: asyncpg.Connection, row: dict[str, Any], code: str
) -> None:
    workflow_id = await record(database, **row)
    assert_problem(await http.delete(f"/operations/{workflow_id}"), 409, code)
