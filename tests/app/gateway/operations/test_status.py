from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import httpx
import pytest
from temporalio.client import Client

from app.embedded.temporal import EmbeddedTemporal
from app.settings import Settings
from tests.app.gateway.outages import frozen
from tests.app.gateway.requests import assert_problem, create
from tests.app.gateway.rows import UNPOLLED_QUEUE, record, snapshot, start
from tests.support.servers.temporal import converter_of
from workflows.operations.messages import OperationError
from workflows.operations.statuses import OperationStatus
from workflows.tenants.request import OperationResult
from workflows.tenants.steps import CREATE_ADMIN_USER, TENANT_CREATION

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "path", ["/operations/{workflowId}", "/tenants/{workflowId}/status", "/tenants/{tenantId}/status"]
)
async def test_an_operation_is_shown_at_each_of_its_paths(http: httpx.AsyncClient, path: str) -> None:
    created = await create(http)
    response = await http.get(path.format(**created))
    assert response.status_code == 200
    assert response.json() == created
    assert response.json()["source"] == "temporal"
    assert response.headers["retry-after"] == "1"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("status", "days", "expected"),
    [
        (OperationStatus.RUNNING, None, {1}),
        (OperationStatus.NEEDS_ATTENTION, None, {30}),
        (OperationStatus.AWAITING_CONFIRMATION, None, {30}),
        (OperationStatus.WAITING, 30, {60}),
        (OperationStatus.WAITING, -1, {1}),
        (OperationStatus.WAITING, 30 / 86400, set(range(1, 31))),
    ],
)
async def test_a_client_polls_seldom_while_an_operation_waits_for_days(
    http: httpx.AsyncClient, temporal_client: Client, status: OperationStatus, days: float | None, expected: set[int]
) -> None:
    next_try_at = datetime.now(UTC) + timedelta(days=days) if days is not None else None
    workflow_id = await start(temporal_client, snapshot(status, uuid4(), next_try_at=next_try_at))
    response = await http.get(f"/operations/{workflow_id}")
    assert int(response.headers["retry-after"]) in expected


async def test_an_unchanged_document_is_not_sent_again(http: httpx.AsyncClient) -> None:
    path = (await create(http))["links"]["self"]
    etag = (await http.get(path)).headers["etag"]
    assert etag.startswith('"')
    for tags in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        response = await http.get(path, headers={"If-None-Match": tags})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == etag
    assert (await http.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_a_change_changes_the_etag(http: httpx.AsyncClient) -> None:
    document = await create(http)
    etag = (await http.get(document["links"]["self"])).headers["etag"]
    await http.delete(document["links"]["cancel"])
    response = await http.get(document["links"]["self"], headers={"If-None-Match": etag})
    assert (response.status_code, response.json()["status"]) == (200, "cancelling")


@pytest.mark.parametrize(
    "workflow_id", ["unknown", "%00", "a%00b", "x" * 256, "x" * 5000, "%ff", "%F0%9F%90%98", "..%2f..", "%0a"]
)
async def test_an_unknown_id_is_a_404(http: httpx.AsyncClient, workflow_id: str) -> None:
    for path in (f"/operations/{workflow_id}", f"/tenants/{workflow_id}/status", f"/tenants/{workflow_id}"):
        assert (await http.get(path)).status_code == 404
    for path in (f"/operations/{workflow_id}", f"/tenants/{workflow_id}"):
        assert (await http.delete(path)).status_code == 404


async def test_an_operation_encrypted_with_an_unknown_key_is_read_from_its_row(
    http: httpx.AsyncClient, settings: Settings, database: asyncpg.Connection
) -> None:
    other_client = await Client.connect(settings.temporal_address, data_converter=converter_of("another secret"))
    unrecorded = await start(other_client, snapshot(OperationStatus.RUNNING, uuid4()))
    assert_problem(await http.get(f"/tenants/{unrecorded}/status"), 502, "operation-unreadable")
    workflow_id = await record(database, status="running")
    await start(other_client, snapshot(OperationStatus.RUNNING), workflow_id)
    response = await http.get(f"/operations/{workflow_id}")
    assert (response.status_code, response.json()["source"]) == (200, "database")


async def test_a_workflow_of_another_type_is_a_404_and_is_not_cancelled(
    http: httpx.AsyncClient, temporal_client: Client, database: asyncpg.Connection
) -> None:
    workflow_id = f"tenant-creation-{uuid4()}"
    handle = await temporal_client.start_workflow("theirs", id=workflow_id, task_queue="theirs")
    await record(database, workflow_id=workflow_id)
    assert_problem(await http.get(f"/tenants/{workflow_id}/status"), 404, "operation-not-found")
    assert_problem(await http.get(f"/operations/{workflow_id}"), 404, "operation-not-found")
    assert_problem(await http.delete(f"/operations/{workflow_id}"), 404, "operation-not-found")
    assert (await handle.describe()).history_length == 2


async def test_a_failure_is_shown_as_a_problem(http: httpx.AsyncClient, temporal_client: Client) -> None:
    error = OperationError(code="duplicate-email", detail="is taken", field="adminUser.email", step=CREATE_ADMIN_USER)
    workflow_id = await start(temporal_client, snapshot(OperationStatus.FAILED, uuid4(), error=error))
    response = await http.get(f"/operations/{workflow_id}")
    assert response.json()["error"] == {
        "type": "/problems/duplicate-email",
        "title": "Duplicate email",
        "status": 409,
        "detail": "is taken",
        "code": "duplicate-email",
        "errors": [{"field": "adminUser.email", "detail": "is taken"}],
        "step": "create_admin_user",
    }
    assert response.json()["cancellable"] is False
    assert "cancel" not in response.json()["links"]
    assert "retry-after" not in response.headers


async def test_a_result_is_shown(http: httpx.AsyncClient, temporal_client: Client) -> None:
    tenant_id = uuid4()
    result = OperationResult(
        tenant_id=tenant_id, admin_user_id=uuid4(), client_id=uuid4(), created_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    shown = result.model_dump(mode="json")
    workflow_id = await start(temporal_client, snapshot(OperationStatus.COMPLETED, tenant_id, result=shown))
    assert (await http.get(f"/operations/{workflow_id}")).json()["result"] == {
        "tenantId": str(tenant_id),
        "adminUserId": str(result.admin_user_id),
        "clientId": str(result.client_id),
        "createdAt": "2026-01-01T00:00:00Z",
    }


async def test_an_operation_of_a_temporal_client_is_shown_by_its_own_id(
    http: httpx.AsyncClient, temporal_client: Client
) -> None:
    workflow_id = f"tenant-creation-1760000000000-{uuid4().hex[:6]}"
    await temporal_client.start_workflow(
        "algadeskTenantCreationWorkflow", {}, id=workflow_id, task_queue=UNPOLLED_QUEUE
    )
    document = (await http.get(f"/operations/{workflow_id}")).json()
    assert (document["status"], document["tenantId"]) == ("queued", None)
    assert len(document["steps"]) == len(TENANT_CREATION.steps)


async def test_a_completed_operation_is_cached(
    http: httpx.AsyncClient, temporal_client: Client, temporal: EmbeddedTemporal
) -> None:
    workflow_id = await start(temporal_client, snapshot(OperationStatus.COMPLETED, uuid4()))
    before = await http.get(f"/operations/{workflow_id}")
    with frozen(temporal.pid):
        assert (await http.get(f"/operations/{workflow_id}")).json() == before.json()


async def test_a_completed_operation_with_a_reusable_id_is_not_cached(
    http: httpx.AsyncClient, temporal_client: Client, temporal: EmbeddedTemporal
) -> None:
    shown = snapshot(OperationStatus.COMPLETED, uuid4())
    workflow_id = await start(temporal_client, shown, f"appliance-{uuid4()}")
    assert (await http.get(f"/operations/{workflow_id}")).status_code == 200
    with frozen(temporal.pid):
        assert_problem(await http.get(f"/operations/{workflow_id}"), 503, "temporal-unavailable")


async def test_an_operation_that_temporal_no_longer_has_is_read_from_its_row(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    finished = datetime(2026, 1, 2, tzinfo=UTC)
    workflow_id = await record(
        database, progress=100, step="complete", requested_by="key:x", status="completed", finished_at=finished
    )
    document = (await http.get(f"/operations/{workflow_id}")).json()
    assert (document["source"], document["status"], document["progress"]) == ("database", "completed", 100)
    assert (document["step"], document["requestedBy"]) == ("complete", "key:x")
    assert document["cancellable"] is False


async def test_an_operation_removed_from_temporal_before_its_commit_has_failed(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    workflow_id = await record(database, progress=5, step="apply_blueprint", status="running")
    document = (await http.get(f"/operations/{workflow_id}")).json()
    assert (document["source"], document["status"]) == ("database", "failed")
    assert (document["error"]["code"], document["error"]["step"]) == ("ended-outside", "apply_blueprint")
    assert "nothing was written" in document["error"]["detail"]
    assert document["cancellable"] is False
    assert not {"cancel", "resume", "tenant"} & document["links"].keys()


async def test_an_operation_removed_from_temporal_after_its_commit_has_completed_with_a_warning(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    steps = (
        '[{"name": "set_up_data", "status": "completed"}, {"name": "track", "status": "pending"}, {"name": "end"}]'
    )
    committed = datetime(2026, 1, 2, tzinfo=UTC)
    workflow_id = await record(database, status="running", committed_at=committed, steps=steps)
    document = (await http.get(f"/operations/{workflow_id}")).json()
    assert (document["source"], document["status"], document["error"]) == ("database", "completed", None)
    assert [warning["code"] for warning in document["warnings"]] == ["ended-outside"]
    assert "not done: track" in document["warnings"][0]["detail"]
    assert document["links"]["tenant"] == f"/tenants/{document['tenantId']}"


async def test_the_status_of_an_unknown_tenant_is_a_404(http: httpx.AsyncClient) -> None:
    assert_problem(await http.get(f"/tenants/{uuid4()}/status"), 404, "operation-not-found")
