"""Kinds, steps and statuses of a newer release are shown as they came, and are left alone."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import httpx
import pytest
from temporalio.client import Client

from app.settings import Settings
from tests.app.gateway.operation_rows import record, snapshot, start
from tests.app.gateway.operations.test_operation_events import read, shown
from tests.app.gateway.requests import assert_problem, faults
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
    """The id of a running workflow whose memo is of a newer release."""
    return await start(temporal_client, snapshot(OperationStatus(STATUS), uuid4(), **MEMO))


@pytest.fixture
async def in_row(settings: Settings, database: asyncpg.Connection) -> str:
    """The id of a running workflow that can't be read here, so that its row is shown."""
    workflow_id = await record(database, **ROW)
    strange = await Client.connect(settings.temporal_address, data_converter=converter_of("another secret"))
    return await start(strange, snapshot(OperationStatus.RUNNING), workflow_id)


def assert_as_it_came(document: dict[str, Any]) -> None:
    assert (document["kind"], document["status"], document["step"]) == (KIND, STATUS, STEP)
    if "steps" in document:
        [step] = document["steps"]
        assert (step["name"], step["status"], step["attempts"]) == (STEP, STEP_STATUS, 2)


@pytest.fixture(params=["in_memo", "in_row"])
def workflow_id(request: pytest.FixtureRequest) -> str:
    """The id of an operation of a newer release, by its memo or by its row."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("path", ["/operations/{}", "/tenants/{}/status"])
async def test_a_status_is_shown_as_it_came(http: httpx.AsyncClient, workflow_id: str, path: str) -> None:
    answer = await http.get(path.format(workflow_id))
    assert answer.status_code == 200, answer.text
    assert_as_it_came(answer.json())
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["cancellable"] is False, "this release does not know how"
    assert not {"cancel", "resume"} & answer.json()["links"].keys()


async def test_events_show_it_as_it_came(http: httpx.AsyncClient, workflow_id: str) -> None:
    with anyio.fail_after(20):
        async with http.stream("GET", f"/operations/{workflow_id}/events") as answer:
            assert answer.status_code == 200
            assert_as_it_came(shown(await anext(read(answer))))


async def test_a_list_shows_it_as_it_came(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    name = f"Newer {uuid4()}"
    for row in (ROW, ENDED):
        await record(database, name, **row)
    listed = (await http.get("/operations", params={"name": name, "kind": KIND})).json()["operations"]
    assert len(listed) == 2
    for operation in listed:
        assert_as_it_came(operation)
        assert not {"cancel", "resume"} & operation["links"].keys()


async def test_one_that_has_ended_is_shown_as_it_came_and_its_stream_ends_for_good(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    workflow_id = await record(database, **ENDED)
    answer = await http.get(f"/operations/{workflow_id}")
    assert_as_it_came(answer.json())
    assert "retry-after" not in answer.headers
    path = f"/operations/{workflow_id}/events"
    with anyio.fail_after(20):
        async with http.stream("GET", path) as stream:
            [only] = [event async for event in read(stream)]
    assert_as_it_came(shown(only))
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
async def test_an_operation_of_an_unknown_kind_is_left_alone(
    http: httpx.AsyncClient, temporal_client: Client, workflow_id: str, method: str, path: str
) -> None:
    body = {"tenantName": "Other"} if method == "PATCH" else None
    answer = await http.request(method, path.format(workflow_id), json=body)
    assert_problem(answer, 409, "operation-kind-unknown")
    assert KIND in answer.json()["detail"]
    description = await temporal_client.get_workflow_handle(workflow_id).describe()
    assert description.history_length == 2, "started, and one task waits"


async def test_an_unknown_status_of_a_known_kind_can_be_cancelled(
    http: httpx.AsyncClient, temporal_client: Client
) -> None:
    workflow_id = await start(temporal_client, snapshot(OperationStatus(STATUS), uuid4()))
    document = (await http.get(f"/operations/{workflow_id}")).json()
    assert (document["status"], document["cancellable"]) == (STATUS, True)
    answer = await http.delete(f"/operations/{workflow_id}")
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")


async def test_an_unknown_status_that_is_asked_for_is_a_mistake_of_the_callers(http: httpx.AsyncClient) -> None:
    answer = await http.get("/operations", params={"status": ["queued", STATUS]})
    assert_problem(answer, 422, "invalid-request")
    assert list(faults(answer)) == ["status.1"]
    assert "awaiting_confirmation" in answer.text
