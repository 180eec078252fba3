"""Kinds, steps and statuses of a newer release are shown unchanged, and their operations are not changed."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import httpx
import pytest
from temporalio.client import Client

from app.settings import Settings
from tests.app.gateway.operations.test_events import read, shown
from tests.app.gateway.requests import assert_problem, faults
from tests.app.gateway.rows import record, snapshot, start
from tests.support.servers.temporal import converter_of
from workflows.operations.messages import StepProgress
from workflows.operations.statuses import OperationStatus, StepStatus

pytestmark = pytest.mark.anyio

KIND, STATUS, STEP, STEP_STATUS = "tenant_merge", "merging", "merge_rows", "half_done"
ROW: dict[str, Any] = {
    "kind": KIND,
    "status": STATUS,
    "step": STEP,
    "steps": f'[{{"name": "{STEP}", "status": "{STEP_STATUS}", "attempts": 2}}]',
}
ENDED: dict[str, Any] = {**ROW, "finished_at": datetime(2026, 1, 2, tzinfo=UTC)}
MEMO: dict[str, Any] = {
    "kind": KIND,
    "step": STEP,
    "steps": (StepProgress(name=STEP, status=StepStatus(STEP_STATUS), attempts=2),),
}


@pytest.fixture
async def in_memo(temporal_client: Client) -> str:
    """Return the id of a running workflow with the memo of a newer release."""
    return await start(temporal_client, snapshot(OperationStatus(STATUS), uuid4(), **MEMO))


@pytest.fixture
async def in_row(settings: Settings, database: asyncpg.Connection) -> str:
    """Return the id of a running workflow that is unreadable, so that its row is shown."""
    workflow_id = await record(database, **ROW)
    other_client = await Client.connect(settings.temporal_address, data_converter=converter_of("another secret"))
    return await start(other_client, snapshot(OperationStatus.RUNNING), workflow_id)


def assert_unchanged(document: dict[str, Any]) -> None:
    assert (document["kind"], document["status"], document["step"]) == (KIND, STATUS, STEP)
    if "steps" in document:
        [step] = document["steps"]
        assert (step["name"], step["status"], step["attempts"]) == (STEP, STEP_STATUS, 2)


@pytest.fixture(params=["in_memo", "in_row"])
def workflow_id(request: pytest.FixtureRequest) -> str:
    """Return the id of an operation of a newer release, with a memo or a row."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("path", ["/operations/{}", "/tenants/{}/status"])
async def test_an_unknown_status_is_shown_unchanged(http: httpx.AsyncClient, workflow_id: str, path: str) -> None:
    response = await http.get(path.format(workflow_id))
    assert response.status_code == 200, response.text
    assert_unchanged(response.json())
    assert response.headers["retry-after"] == "1"
    assert response.json()["cancellable"] is False, "this release can't cancel it"
    assert not {"cancel", "resume"} & response.json()["links"].keys()


async def test_events_show_it_unchanged(http: httpx.AsyncClient, workflow_id: str) -> None:
    with anyio.fail_after(20):
        async with http.stream("GET", f"/operations/{workflow_id}/events") as response:
            assert response.status_code == 200
            assert_unchanged(shown(await anext(read(response))))


async def test_a_list_shows_it_unchanged(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    name = f"Newer {uuid4()}"
    for row in (ROW, ENDED):
        await record(database, name, **row)
    listed = (await http.get("/operations", params={"name": name, "kind": KIND})).json()["operations"]
    assert len(listed) == 2
    for operation in listed:
        assert_unchanged(operation)
        assert not {"cancel", "resume"} & operation["links"].keys()


async def test_an_ended_operation_is_shown_unchanged_and_its_stream_ends(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    workflow_id = await record(database, **ENDED)
    response = await http.get(f"/operations/{workflow_id}")
    assert_unchanged(response.json())
    assert "retry-after" not in response.headers
    path = f"/operations/{workflow_id}/events"
    with anyio.fail_after(20):
        async with http.stream("GET", path) as stream:
            [only] = [event async for event in read(stream)]
    assert_unchanged(shown(only))
    assert (await http.get(path, headers={"Last-Event-ID": only["id"]})).status_code == 204


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/operations/{}"),
        ("DELETE", "/tenants/{}"),
        ("POST", "/operations/{}/resume"),
        ("PATCH", "/operations/{}"),
    ],
)
async def test_an_operation_of_an_unknown_kind_cannot_be_changed(
    http: httpx.AsyncClient, temporal_client: Client, workflow_id: str, method: str, path: str
) -> None:
    body = {"tenantName": "Other"} if method == "PATCH" else None
    response = await http.request(method, path.format(workflow_id), json=body)
    assert_problem(response, 409, "operation-kind-unknown")
    assert KIND in response.json()["detail"]
    description = await temporal_client.get_workflow_handle(workflow_id).describe()
    assert description.history_length == 2, "the workflow got no signal"


async def test_an_unknown_status_of_a_known_kind_can_be_cancelled(
    http: httpx.AsyncClient, temporal_client: Client
) -> None:
    workflow_id = await start(temporal_client, snapshot(OperationStatus(STATUS), uuid4()))
    document = (await http.get(f"/operations/{workflow_id}")).json()
    assert (document["status"], document["cancellable"]) == (STATUS, True)
    response = await http.delete(f"/operations/{workflow_id}")
    assert (response.status_code, response.json()["status"]) == (202, "cancelling")


async def test_filtering_by_an_unknown_status_is_an_invalid_request(http: httpx.AsyncClient) -> None:
    response = await http.get("/operations", params={"status": ["queued", STATUS]})
    assert_problem(response, 422, "invalid-request")
    assert list(faults(response)) == ["status.1"]
    assert "awaiting_confirmation" in response.text
