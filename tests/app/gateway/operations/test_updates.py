"""Resuming operations and updating their parameters, without a worker."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from app.settings import Settings
from tests.app.gateway.requests import assert_problem, create, faults
from tests.app.gateway.rows import record, snapshot, start
from tests.app.gateway.server import RunningGateway
from workflows.operations.messages import OperationError, ResumeRequest
from workflows.operations.statuses import OperationStatus

pytestmark = pytest.mark.anyio

LATER = datetime(2099, 1, 2, tzinfo=UTC)


async def resumes(client: Client, workflow_id: str) -> list[ResumeRequest]:
    """Return the arguments of the workflow's `resume` signals."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    found = []
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            attributes = event.workflow_execution_signaled_event_attributes
            assert attributes.signal_name == "resume"
            found += await client.data_converter.decode(attributes.input.payloads, [ResumeRequest])
    return found


async def parked(client: Client) -> str:
    """Start an operation that waits for an operator, and return its workflow id."""
    error = OperationError(code="database-unavailable", detail="the connection was lost")
    waiting = snapshot(status=OperationStatus.NEEDS_ATTENTION, error=error, attention_deadline=LATER)
    return await start(client, waiting)


async def test_a_parked_operation_shows_its_deadline_and_the_path_to_resume_it(
    http: httpx.AsyncClient, temporal_client: Client
) -> None:
    workflow_id = await parked(temporal_client)
    response = await http.get(f"/operations/{workflow_id}")
    document = response.json()
    assert document["attentionDeadline"] == "2099-01-02T00:00:00Z"
    assert document["links"]["resume"] == f"/operations/{workflow_id}/resume"
    assert response.headers["retry-after"] == "30"


async def test_a_resume_is_sent_to_the_workflow_and_shown_at_once(
    http: httpx.AsyncClient, temporal_client: Client
) -> None:
    workflow_id = await parked(temporal_client)
    response = await http.post(f"/operations/{workflow_id}/resume")
    assert response.status_code == 202
    assert response.headers["location"] == f"/operations/{workflow_id}"
    assert (response.json()["status"], response.json()["attentionDeadline"]) == ("running", None)
    [resume] = await resumes(temporal_client, workflow_id)
    assert resume.resumed_by is not None
    assert resume.resumed_by.startswith("key:")


async def test_resuming_an_operation_that_does_not_wait_changes_nothing(
    http: httpx.AsyncClient, temporal_client: Client
) -> None:
    created = await create(http)
    response = await http.post(f"/operations/{created['workflowId']}/resume")
    assert (response.status_code, response.json()["status"]) == (202, "queued")
    assert await resumes(temporal_client, created["workflowId"]) == []


@pytest.mark.parametrize("method", ["POST", "PATCH"])
class TestRejectedUpdates:
    @staticmethod
    async def send(http: httpx.AsyncClient, method: str, workflow_id: str) -> httpx.Response:
        if method == "POST":
            return await http.post(f"/operations/{workflow_id}/resume")
        return await http.patch(f"/operations/{workflow_id}", json={"addons": ["ai"]})

    async def test_an_unknown_operation_is_a_404(self, http: httpx.AsyncClient, method: str) -> None:
        assert_problem(await self.send(http, method, f"tenant-creation-{uuid4()}"), 404, "operation-not-found")

    async def test_a_finished_operation_is_a_409(
        self, http: httpx.AsyncClient, database: asyncpg.Connection, method: str
    ) -> None:
        workflow_id = await record(database, status="failed", finished_at=datetime(2026, 1, 2, tzinfo=UTC))
        assert_problem(await self.send(http, method, workflow_id), 409, "operation-finished")

    async def test_a_terminated_operation_is_a_409(
        self, http: httpx.AsyncClient, temporal_client: Client, method: str
    ) -> None:
        created = await create(http)
        await temporal_client.get_workflow_handle(created["workflowId"]).terminate()
        assert_problem(await self.send(http, method, created["workflowId"]), 409, "operation-finished")

    async def test_a_stopping_operation_is_a_409(self, http: httpx.AsyncClient, method: str) -> None:
        created = await create(http)
        await http.delete(f"/operations/{created['workflowId']}")
        assert_problem(await self.send(http, method, created["workflowId"]), 409, "operation-stopping")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"colour": "red"}, "colour"),
        ({"tenantId": "9b2f3a52-6c1c-4a4f-9c3a-0d3c3c1f7a10"}, "tenantId"),
        ({"adminUser": {"email": "a@b.example"}}, "adminUser"),
        ({"tenantName": None}, "tenantName"),
        ({"tenantName": ""}, "tenantName"),
        ({"licenseCount": "7"}, "licenseCount"),
        ({"addons": ["a", "B!"]}, "addons.1"),
        ({"billingAddress": {"countryCode": "USA"}}, "billingAddress.countryCode"),
    ],
)
async def test_an_invalid_change_is_a_422_that_names_the_field(
    http: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    created = await create(http)
    response = await http.patch(f"/operations/{created['workflowId']}", json=body)
    assert_problem(response, 422, "invalid-request")
    assert set(faults(response)) == {field}


@pytest.mark.parametrize("name", ["billingPlan", "contractLine", "contract_line"])
async def test_an_unknown_billing_plan_is_a_422_that_lists_the_known_ones(http: httpx.AsyncClient, name: str) -> None:
    created = await create(http)
    response = await http.patch(f"/operations/{created['workflowId']}", json={name: "Nothing"})
    assert_problem(response, 422, "unknown-billing-plan")
    assert "Managed Services" in faults(response)["billingPlan"]


async def test_a_change_that_no_worker_receives_is_a_503(settings: Settings, api_key: str) -> None:
    impatient = settings.model_copy(update={"temporal_rpc_timeout": 1.0, "temporal_workflow_task_timeout": 1.0})
    with RunningGateway(impatient, api_key) as gateway:
        async with gateway.client() as http:
            created = await create(http)
            response = await http.patch(f"/operations/{created['workflowId']}", json={"addons": ["ai"]})
            assert_problem(response, 503, "worker-unavailable")
            assert int(response.headers["retry-after"]) > 0
