from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import httpx
import pytest
from pydantic import BaseModel

from app.client import (
    Addon,
    ArgumentError,
    ChangedRows,
    ExternalResource,
    Footprint,
    NotFoundError,
    Operation,
    OperationSummary,
    ProductChangePreview,
    ProductChangeRefusal,
    StepDocument,
    Subscription,
    Tenant,
    TenantDeletion,
    TenantOperation,
    TenantsClient,
    UnavailableError,
    UnexpectedResponseError,
    User,
)
from app.client.models import FINAL_STATUSES, OPEN_STATUSES
from app.client.responses import retry_after
from app.gateway.directory import schemas as directory
from app.gateway.operations import schemas
from app.gateway.product_changes import schemas as product_changes
from app.gateway.tenants.schemas import CreatedDocument
from tests.app.client.conftest import API_KEY, Call
from tests.app.client.scripted_server import (
    OPERATION_PATH,
    RESULT,
    RESUME_PATH,
    TENANT_ID,
    TENANT_PATH,
    WORKFLOW_ID,
    Reply,
    ScriptedServer,
    details,
    document,
    footprint,
    problem,
    summary,
    tenant,
    user,
)
from workflows.operations.statuses import OperationStatus

STARTED = {"startedAt": "2026-01-31T12:00:00Z", "finishedAt": None, "attempts": 1}


def test_documents_are_kept_unchanged() -> None:
    sent = document("completed", novelty={"nested": [1]}, temporaryPassword="p")
    assert Operation.model_validate(sent).as_json() == sent
    assert Tenant.model_validate(tenant(novelty=1)).as_json() == tenant(novelty=1)
    assert Tenant.model_validate(details(novelty=1)).as_json() == details(novelty=1)


def test_an_unknown_status_step_or_kind_is_read() -> None:
    steps = [{"name": "order_cake", "status": "baking", **STARTED}]
    newer = document("paused", kind="tenant_party", step="order_cake", steps=steps, links={"self": "/x", "pay": "/y"})
    operation = Operation.model_validate(newer)
    assert (operation.status, operation.kind, operation.step) == ("paused", "tenant_party", "order_cake")
    assert [(step.name, step.status) for step in operation.steps] == [("order_cake", "baking")]
    assert not operation.is_settled


@pytest.mark.parametrize(
    ("status", "finished_at", "is_final", "is_settled"),
    [
        ("completed", None, True, True),
        ("failed", None, True, True),
        ("cancelled", None, True, True),
        ("needs_attention", None, False, True),
        ("awaiting_confirmation", None, False, True),
        ("running", None, False, False),
        ("waiting", None, False, True),
        ("running", "2026-01-31T12:00:00Z", False, False),
        ("paused", None, False, False),
        ("archived", "2026-01-31T12:00:00Z", True, True),
    ],
)
def test_an_operation_is_final_by_its_status_or_if_that_is_unknown_by_its_end(
    status: str, finished_at: str | None, is_final: bool, is_settled: bool
) -> None:
    operation = Operation.model_validate(document(status, finishedAt=finished_at))
    assert (operation.is_final, operation.is_settled) == (is_final, is_settled)


def test_the_statuses_are_those_of_the_workflows() -> None:
    assert {status.value for status in OperationStatus if not status.is_open} == FINAL_STATUSES
    assert {status.value for status in OperationStatus} <= FINAL_STATUSES | OPEN_STATUSES


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Operation, CreatedDocument),
        (OperationSummary, schemas.OperationSummary),
        (StepDocument, schemas.StepDocument),
        (Tenant, directory.TenantDetails),
        (Subscription, directory.SubscriptionDocument),
        (Addon, directory.AddonDocument),
        (TenantOperation, directory.TenantOperation),
        (TenantDeletion, directory.TenantDeletion),
        (User, directory.UserDocument),
        (ProductChangePreview, product_changes.ProductChangePreview),
        (ProductChangeRefusal, product_changes.RefusalDocument),
        (ChangedRows, product_changes.PartDocument),
        (Footprint, directory.FootprintDocument),
        (ExternalResource, directory.ExternalDocument),
    ],
)
def test_the_models_have_every_field_of_the_gateway(ours: type[BaseModel], theirs: type[BaseModel]) -> None:
    assert set(theirs.model_fields) <= set(ours.model_fields)


def test_the_result_of_a_creation_is_a_mapping_with_typed_access() -> None:
    created = Operation.model_validate(document("completed"))
    assert created.result == RESULT
    assert created.tenant_ids is not None
    assert str(created.tenant_ids.client_id) == RESULT["clientId"]


def test_other_results_are_only_mappings() -> None:
    exported = Operation.model_validate(document("completed", kind="tenant_export", result={"exportId": "e-1"}))
    assert (exported.result, exported.tenant_ids) == ({"exportId": "e-1"}, None)
    assert Operation.model_validate(document()).tenant_ids is None


def test_warnings_are_read() -> None:
    warning = {"code": "mail-refused", "detail": "no such mailbox", "step": "send_welcome_email"}
    (read,) = OperationSummary.model_validate(summary("completed", warnings=[warning])).warnings
    assert (read.code, read.detail, read.step) == ("mail-refused", "no such mailbox", "send_welcome_email")


def test_the_duration_is_from_start_to_end() -> None:
    assert Operation.model_validate(document("completed")).duration == timedelta(seconds=1.5)
    assert Operation(workflow_id="x", status="queued").duration is None


def test_listing_reads_all_pages(server: ScriptedServer, call: Call) -> None:
    pages = [
        Reply(200, {"operations": [summary("failed", tenantName="A")], "nextPageToken": "b+/=&"}),
        Reply(200, {"operations": [summary("paused", tenantName="B")], "nextPageToken": None}),
    ]
    server.script("GET", "/operations", *pages)
    operations = call(
        "operations",
        status=["failed", "running"],
        kind="tenant_creation",
        tenant_id=UUID(TENANT_ID),
        name="ä b",
        page_size=1,
    )
    assert [(operation.tenant_name, operation.status) for operation in operations] == [
        ("A", "failed"),
        ("B", "paused"),
    ]
    filters = [
        ("status", "failed"),
        ("status", "running"),
        ("kind", "tenant_creation"),
        ("tenantId", TENANT_ID),
        ("name", "ä b"),
        ("pageSize", "1"),
    ]
    assert [request.query for request in server.received] == [filters, [*filters, ("pageToken", "b+/=&")]]


def test_pages_are_fetched_as_they_are_needed(server: ScriptedServer) -> None:
    server.script("GET", "/tenants", Reply(200, {"tenants": [tenant()], "nextPageToken": "next"}))
    with TenantsClient(server.url, API_KEY) as client:
        tenants = client.tenants()
        assert server.received == []
        next(tenants)
    assert len(server.received) == 1


def test_listing_by_time_sends_the_offset(server: ScriptedServer, call: Call) -> None:
    server.script("GET", "/operations", Reply(200, {"operations": [], "nextPageToken": None}))
    zone = timezone(timedelta(hours=2))
    call(
        "operations", started_after=datetime(2026, 1, 1, tzinfo=zone), started_before=datetime(2026, 2, 1, tzinfo=UTC)
    )
    assert server.received[0].query == [
        ("startedAfter", "2026-01-01T00:00:00+02:00"),
        ("startedBefore", "2026-02-01T00:00:00+00:00"),
    ]


def test_a_time_without_a_zone_is_refused(server: ScriptedServer, call: Call) -> None:
    with pytest.raises(ArgumentError, match="started_after"):
        call("operations", started_after=datetime(2026, 1, 1))  # noqa: DTZ001 - the error under test
    assert server.received == []


def test_listing_tenants_reads_all_pages(server: ScriptedServer, call: Call) -> None:
    pages = [
        Reply(200, {"tenants": [tenant(name="A")], "nextPageToken": "b+/=&"}),
        Reply(200, {"tenants": [tenant(name="B", state="deleting")], "nextPageToken": None}),
    ]
    server.script("GET", "/tenants", *pages)
    tenants = call("tenants", search="ä b", product_code="psa", state="active", page_size=1)
    assert [(found.name, found.state) for found in tenants] == [("A", "active"), ("B", "deleting")]
    filters = [("search", "ä b"), ("productCode", "psa"), ("state", "active"), ("pageSize", "1")]
    assert [request.query for request in server.received] == [filters, [*filters, ("pageToken", "b+/=&")]]


def test_a_page_without_tenants_is_rejected(server: ScriptedServer, call: Call) -> None:
    server.script("GET", "/tenants", Reply(200, {"operations": [summary()], "nextPageToken": None}))
    with pytest.raises(UnexpectedResponseError):
        call("tenants")


@pytest.mark.parametrize("tenant_id", [TENANT_ID, UUID(TENANT_ID)], ids=["text", "uuid"])
def test_a_tenant_is_read_by_its_id(server: ScriptedServer, call: Call, tenant_id: UUID | str) -> None:
    server.script("GET", TENANT_PATH, Reply(200, tenant()))
    found = call("tenant", tenant_id)
    assert (found.tenant_id, found.name, found.company_name) == (UUID(TENANT_ID), "Acme", "Acme Corporation")
    assert (found.license_count, found.user_count) == (10, 3)


def test_an_unknown_tenant_is_not_found(server: ScriptedServer, call: Call) -> None:
    server.script("GET", TENANT_PATH, problem(404, "tenant-not-found"))
    with pytest.raises(NotFoundError):
        call("tenant", TENANT_ID)


def test_the_users_of_a_tenant_are_listed(server: ScriptedServer, call: Call) -> None:
    pages = [
        Reply(200, {"users": [user()], "nextPageToken": "next"}),
        Reply(200, {"users": [user(firstName=None, roles=[])], "nextPageToken": None}),
    ]
    server.script("GET", f"{TENANT_PATH}/users", *pages)
    users = list(call("users", TENANT_ID, user_type="internal", is_inactive=False, page_size=1))
    assert [(found.first_name, found.roles) for found in users] == [("Ada", ("Admin", "Technician")), (None, ())]
    filters = [("userType", "internal"), ("isInactive", "false"), ("pageSize", "1")]
    assert [request.query for request in server.received] == [filters, [*filters, ("pageToken", "next")]]


def test_a_footprint_is_read_and_may_take_long(server: ScriptedServer) -> None:
    server.script("GET", f"{TENANT_PATH}/footprint", Reply(200, footprint(), delay=1.0))
    with TenantsClient(server.url, API_KEY, timeout=0.5) as client:
        found = client.footprint(TENANT_ID)
    assert found.as_json() == footprint()
    assert (found.tables["tickets"], found.external[1].count) == (12345, None)


def test_a_cancel_sends_the_reason(server: ScriptedServer, call: Call) -> None:
    server.script("DELETE", OPERATION_PATH, Reply(202, document("cancelling")))
    call("cancel", WORKFLOW_ID, reason="ordered twice & paid once")
    call("cancel", WORKFLOW_ID)
    assert [request.query for request in server.received] == [[("reason", "ordered twice & paid once")], []]


def test_a_ready_gateway_is_healthy(server: ScriptedServer, call: Call) -> None:
    server.script("GET", "/readyz", Reply(200, {"status": "ok", "checks": {"database": "ok"}}))
    health = call("health")
    assert (health.ready, health.checks) == (True, {"database": "ok"})


@pytest.mark.parametrize("body", [b"no upstream", b'{"detail": "database: away", "checks": {"database": "away"}}'])
def test_a_gateway_that_is_not_ready_is_no_error(server: ScriptedServer, call: Call, body: bytes) -> None:
    server.script("GET", "/readyz", Reply(503, body))
    assert call("health").ready is False
    assert len(server.received) == 1


def test_a_failed_health_check_is_an_error(server: ScriptedServer, call: Call) -> None:
    server.script("GET", "/readyz", problem(502, "bad-gateway"))
    with pytest.raises(UnavailableError):
        call("health")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7", 7.0), ("0", 0.0), ("Thu, 01 Jan 2026 00:00:00 GMT", 0.0), ("soon", None), ("-1", None)],
)
def test_retry_after_is_read(value: str, expected: float | None) -> None:
    assert retry_after(httpx.Response(503, headers={"Retry-After": value})) == expected


def test_a_date_in_retry_after_is_read() -> None:
    later = datetime.now(UTC) + timedelta(seconds=60)
    header = later.strftime("%a, %d %b %Y %H:%M:%S GMT")
    seconds = retry_after(httpx.Response(503, headers={"Retry-After": header}))
    assert seconds is not None
    assert 55 < seconds <= 60


def test_a_resume_has_no_body(server: ScriptedServer, call: Call) -> None:
    server.script("POST", RESUME_PATH, Reply(202, document("running")))
    assert call("resume", WORKFLOW_ID).status == "running"
    assert server.received[0].body is None


def test_a_change_sends_the_changes(server: ScriptedServer, call: Call) -> None:
    server.script("PATCH", OPERATION_PATH, Reply(200, document("running")))
    call("change", WORKFLOW_ID, {"licenseCount": 12})
    assert server.received[0].body == {"licenseCount": 12}
    assert server.received[0].headers["content-type"] == "application/json"


def test_a_welcome_mail_is_requested_for_a_user(server: ScriptedServer, call: Call) -> None:
    path = f"{TENANT_PATH}/welcome-email"
    server.script("POST", path, Reply(202, document("queued")))
    sent = call("send_welcome_email", TENANT_ID, user_id="9b2f7a54-0a51-4a54-8d6a-3f0f5a6f3f10", wait=5)
    assert sent.workflow_id == WORKFLOW_ID
    (received,) = server.received
    assert received.body == {"userId": "9b2f7a54-0a51-4a54-8d6a-3f0f5a6f3f10"}
    assert received.headers["prefer"] == "wait=5"


def test_a_welcome_mail_is_not_requested_twice(server: ScriptedServer, call: Call) -> None:
    server.script("POST", f"{TENANT_PATH}/welcome-email", problem(503, "temporal-unavailable"))
    with pytest.raises(UnavailableError):
        call("send_welcome_email", TENANT_ID)
    assert len(server.received) == 1
