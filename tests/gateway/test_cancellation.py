from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
import asyncpg
import httpx
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus

from tests.gateway.operations import record, snapshot, start
from tests.gateway.requests import assert_problem, create, faults
from workflows.messages import CancelRequest, OperationStatus

pytestmark = pytest.mark.anyio


async def signals(client: Client, workflow_id: str) -> list[CancelRequest]:
    """What the workflow has been asked for by signals named `cancel`."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    found = []
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            attributes = event.workflow_execution_signaled_event_attributes
            assert attributes.signal_name == "cancel"
            found += await client.data_converter.decode(attributes.input.payloads, [CancelRequest])
    return found


async def test_a_cancel_shows_at_once_and_tells_the_workflow_who_and_why(
    http: httpx.AsyncClient, temporal_client: Client
) -> None:
    created = await create(http)
    answer = await http.request("DELETE", created["links"]["cancel"], json={"reason": "ordered by mistake"})
    document = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == created["links"]["self"]
    assert answer.headers["retry-after"] == "1"
    assert (document["status"], document["cancellable"]) == ("cancelling", False)
    assert (document["cancelledBy"], document["cancelReason"]) == (created["requestedBy"], "ordered by mistake")
    assert (await http.get(created["links"]["self"])).json()["status"] == "cancelling"
    assert await signals(temporal_client, created["workflowId"]) == [
        CancelRequest(
            reason="ordered by mistake",
            cancelled_by=created["requestedBy"],
            cancelled_via=created["requestedVia"],
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
    answer = await http.request("DELETE", path, params=params, json=body)
    assert (answer.status_code, answer.json()["cancelReason"]) == (202, reason)


@pytest.mark.parametrize("reason", ["nul\0", "\x1b[31m", "x" * 501, 5])
async def test_a_bad_reason_is_refused_and_nothing_is_cancelled(http: httpx.AsyncClient, reason: Any) -> None:
    created = await create(http)
    answer = await http.request("DELETE", created["links"]["cancel"], json={"reason": reason})
    assert_problem(answer, 422, "invalid-request")
    assert list(faults(answer)) == ["reason"]
    assert (await http.get(created["links"]["self"])).json()["status"] == "queued"


async def test_a_bad_reason_in_the_query_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.delete((await create(http))["links"]["cancel"], params={"reason": "nul\0"})
    assert_problem(answer, 422, "invalid-request")


async def test_a_second_cancel_is_harmless(http: httpx.AsyncClient, temporal_client: Client) -> None:
    created = await create(http)
    for _ in range(2):
        assert (await http.delete(created["links"]["cancel"])).status_code == 202
    assert len(await signals(temporal_client, created["workflowId"])) == 1


async def test_a_rollback_under_way_is_left_alone(http: httpx.AsyncClient, temporal_client: Client) -> None:
    workflow_id = await start(temporal_client, snapshot(OperationStatus.ROLLING_BACK, uuid4()))
    answer = await http.delete(f"/operations/{workflow_id}")
    assert (answer.status_code, answer.json()["status"]) == (202, "rolling_back")
    assert await signals(temporal_client, workflow_id) == []


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "about to close"])
async def test_a_finished_operation_cannot_be_cancelled(
    http: httpx.AsyncClient, temporal_client: Client, *, is_closed: bool
) -> None:
    workflow_id = await start(temporal_client, snapshot(OperationStatus.COMPLETED, uuid4()))
    if is_closed:
        await temporal_client.get_workflow_handle(workflow_id).terminate()
    assert_problem(await http.delete(f"/operations/{workflow_id}"), 409, "operation-finished")


async def test_cancelling_an_operation_that_was_ended_by_hand_starts_its_cleanup(
    http: httpx.AsyncClient, temporal_client: Client
) -> None:
    created = await create(http)
    await temporal_client.get_workflow_handle(created["workflowId"]).terminate()
    for _ in range(2):
        answer = await http.delete(created["links"]["cancel"], params={"reason": "a change of mind"})
        assert answer.status_code == 202
        document = answer.json()
        assert (document["status"], document["cancelReason"]) == ("rolling_back", "a change of mind")
        assert document["startedAt"] == (await http.get(created["links"]["self"])).json()["startedAt"]
    description = await temporal_client.get_workflow_handle(created["workflowId"]).describe()
    assert description.workflow_type == "tenantCleanupWorkflow"
    assert description.status is WorkflowExecutionStatus.RUNNING


async def test_a_run_that_was_ended_before_its_first_step_has_nothing_to_clean_up_whatever_ran_under_its_id_before(
    http: httpx.AsyncClient, temporal_client: Client, database: asyncpg.Connection
) -> None:
    workflow_id = await record(database, status="running")
    await start(temporal_client, snapshot(OperationStatus.QUEUED), workflow_id)
    await temporal_client.get_workflow_handle(workflow_id).terminate()
    document = (await http.get(f"/operations/{workflow_id}")).json()
    assert (document["status"], document["error"]["code"]) == ("failed", "ended-outside")
    assert_problem(await http.delete(f"/operations/{workflow_id}"), 409, "operation-finished")


async def test_an_operation_that_is_closed_while_its_cancel_looks_at_it_is_not_cleaned_up(
    http: httpx.AsyncClient, temporal_client: Client, database: asyncpg.Connection
) -> None:
    created = await create(http)
    workflow_id = created["workflowId"]
    await temporal_client.get_workflow_handle(workflow_id).terminate()
    answers: list[httpx.Response] = []
    async with anyio.create_task_group() as tasks, database.transaction():
        row = "UPDATE alga_tenants.operations SET status = 'failed', finished_at = now() WHERE workflow_id = $1"
        await database.execute(row, workflow_id)
        tasks.start_soon(delete_into, answers, http, workflow_id)
        await blocked(database)
    assert_problem(answers[0], 409, "operation-finished")
    description = await temporal_client.get_workflow_handle(workflow_id).describe()
    assert description.workflow_type == "tenantCreationWorkflow"


async def delete_into(answers: list[httpx.Response], http: httpx.AsyncClient, workflow_id: str) -> None:
    answers.append(await http.delete(f"/operations/{workflow_id}"))


async def blocked(database: asyncpg.Connection) -> None:
    """Return once another connection waits for what this one has locked."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    with anyio.fail_after(20):
        while not await database.fetchval(query):
            await anyio.lowlevel.checkpoint()


async def test_cancelling_an_operation_that_temporal_has_forgotten_starts_its_cleanup(
    http: httpx.AsyncClient, temporal_client: Client, database: asyncpg.Connection
) -> None:
    workflow_id = await record(database, status="running")
    answer = await http.delete(f"/operations/{workflow_id}")
    assert (answer.status_code, answer.json()["status"]) == (202, "rolling_back")
    description = await temporal_client.get_workflow_handle(workflow_id).describe()
    assert description.workflow_type == "tenantCleanupWorkflow"


async def test_a_finished_operation_that_temporal_has_forgotten_cannot_be_cancelled(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    workflow_id = await record(database, status="failed", finished_at=datetime(2026, 1, 2, tzinfo=UTC))
    assert_problem(await http.delete(f"/operations/{workflow_id}"), 409, "operation-finished")
