from datetime import UTC, datetime, timedelta, timezone

import httpx
import pytest
from pydantic import BaseModel

from app.client import ArgumentError, OperationSummary, StatusDocument, StepDocument, TenantIds, UnavailableError
from app.client.answers import retry_after
from app.client.models import FINAL_STATUSES, OperationPage
from app.gateway import schemas
from tests.client.conftest import Call
from tests.client.scripted_server import WORKFLOW_ID, Answer, ScriptedServer, document, problem
from workflows.messages import OperationStatus


def test_what_the_gateway_says_is_kept_as_it_is() -> None:
    said = document("completed", novelty={"nested": [1]}, temporaryPassword="p")
    assert StatusDocument.model_validate(said).as_json() == said


def test_words_of_a_newer_gateway_are_read() -> None:
    newer = StatusDocument.model_validate(document("paused", step="ordering_cake", links={"self": "/x", "pay": "/y"}))
    assert (newer.status, newer.step, newer.is_settled) == ("paused", "ordering_cake", False)


def test_final_statuses_are_those_of_the_workflows() -> None:
    assert {status.value for status in OperationStatus if status.is_final} == FINAL_STATUSES


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (StatusDocument, schemas.CreatedDocument),
        (OperationSummary, schemas.OperationSummary),
        (StepDocument, schemas.StepDocument),
        (TenantIds, schemas.ResultDocument),
        (OperationPage, schemas.OperationList),
    ],
)
def test_the_models_know_every_field_of_the_gateway(ours: type[BaseModel], theirs: type[BaseModel]) -> None:
    assert set(ours.model_fields) == set(theirs.model_fields)


def test_the_duration_is_from_start_to_end() -> None:
    assert StatusDocument.model_validate(document("completed")).duration == timedelta(seconds=1.5)
    assert StatusDocument(workflow_id="x", status="queued").duration is None


def test_listing_goes_through_all_pages(server: ScriptedServer, call: Call) -> None:
    pages = [
        Answer(200, {"operations": [document("failed", tenantName="A")], "nextPageToken": "b+/=&"}),
        Answer(200, {"operations": [document(tenantName="B")], "nextPageToken": None}),
    ]
    server.script("GET", "/tenants", *pages)
    operations = call("operations", status=["failed", "running"], name="ä b", page_size=1)
    assert [(operation.tenant_name, operation.status) for operation in operations] == [
        ("A", "failed"),
        ("B", "running"),
    ]
    filters = [("status", "failed"), ("status", "running"), ("name", "ä b"), ("pageSize", "1")]
    assert [request.query for request in server.received] == [filters, [*filters, ("pageToken", "b+/=&")]]


def test_listing_by_time_sends_the_offset(server: ScriptedServer, call: Call) -> None:
    server.script("GET", "/tenants", Answer(200, {"operations": [], "nextPageToken": None}))
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
        call("operations", started_after=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the fault
    assert server.received == []


def test_a_cancel_says_why(server: ScriptedServer, call: Call) -> None:
    server.script("DELETE", f"/tenants/{WORKFLOW_ID}", Answer(202, document("cancelling")))
    call("cancel", WORKFLOW_ID, reason="ordered twice & paid once")
    call("cancel", WORKFLOW_ID)
    assert [request.query for request in server.received] == [[("reason", "ordered twice & paid once")], []]


def test_a_ready_gateway_is_healthy(server: ScriptedServer, call: Call) -> None:
    server.script("GET", "/readyz", Answer(200, {"status": "ok", "checks": {"database": "ok"}}))
    health = call("health")
    assert (health.ready, health.checks) == (True, {"database": "ok"})


@pytest.mark.parametrize("body", [b"no upstream", b'{"detail": "database: away", "checks": {"database": "away"}}'])
def test_a_gateway_that_is_not_ready_says_so_without_an_error(
    server: ScriptedServer, call: Call, body: bytes
) -> None:
    server.script("GET", "/readyz", Answer(503, body))
    assert call("health").ready is False
    assert len(server.received) == 1


def test_a_health_check_that_nobody_understands_is_an_error(server: ScriptedServer, call: Call) -> None:
    server.script("GET", "/readyz", problem(502, "bad-gateway"))
    with pytest.raises(UnavailableError):
        call("health")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7", 7.0), ("0", 0.0), ("Thu, 01 Jan 2026 00:00:00 GMT", 0.0), ("soon", None), ("-1", None)],
)
def test_the_time_to_come_again_is_read(value: str, expected: float | None) -> None:
    assert retry_after(httpx.Response(503, headers={"Retry-After": value})) == expected


def test_a_date_to_come_again_is_read() -> None:
    later = datetime.now(UTC) + timedelta(seconds=60)
    header = later.strftime("%a, %d %b %Y %H:%M:%S GMT")
    seconds = retry_after(httpx.Response(503, headers={"Retry-After": header}))
    assert seconds is not None
    assert 55 < seconds <= 60


def test_a_resume_has_no_body(server: ScriptedServer, call: Call) -> None:
    server.script("POST", f"/tenants/{WORKFLOW_ID}/resume", Answer(202, document("running")))
    assert call("resume", WORKFLOW_ID).status == "running"
    assert server.received[0].body is None


def test_a_change_sends_what_is_to_be_changed(server: ScriptedServer, call: Call) -> None:
    server.script("PATCH", f"/tenants/{WORKFLOW_ID}", Answer(200, document("running")))
    call("change", WORKFLOW_ID, {"licenseCount": 12})
    assert server.received[0].body == {"licenseCount": 12}
    assert server.received[0].headers["content-type"] == "application/json"
