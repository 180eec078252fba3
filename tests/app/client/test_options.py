"""The values of fields, and counts."""

from datetime import UTC, datetime

from tests.app.client.conftest import Call
from tests.app.client.scripted_server import TENANT_ID, Reply, ScriptedServer

OPTIONS = {
    "products": [{"productCode": "psa", "isDefault": True, "billingPlans": ["Standard"]}],
    "plans": ["solo", "pro"],
    "operationStatuses": [{"name": "paused", "description": "New.", "isFinal": False, "needsPerson": True}],
    "novelties": [1],
}


def test_options_are_read_with_what_a_newer_gateway_adds(server: ScriptedServer, call: Call) -> None:
    server.script("GET", "/options", Reply(200, OPTIONS))
    options = call("options")
    assert options.products[0].billing_plans == ("Standard",)
    assert (options.operation_statuses[0].name, options.operation_statuses[0].needs_person) == ("paused", True)
    assert options.as_json() == OPTIONS


def test_operations_are_counted_with_the_filters_of_their_list(server: ScriptedServer, call: Call) -> None:
    server.script("GET", "/operations/counts", Reply(200, {"total": 3, "byStatus": {"failed": 2, "paused": 1}}))
    since = datetime(2026, 1, 31, 12, tzinfo=UTC)
    counts = call("count_operations", status=["failed", "paused"], tenant_id=TENANT_ID, started_after=since)
    assert (counts.total, counts.by_status) == (3, {"failed": 2, "paused": 1})
    (request,) = server.received
    assert [value for name, value in request.query if name == "status"] == ["failed", "paused"]
    assert {"tenantId", "startedAfter"} <= {name for name, _ in request.query}


def test_tenants_are_counted_by_state(server: ScriptedServer, call: Call) -> None:
    server.script("GET", "/tenants/counts", Reply(200, {"total": 1, "byState": {"active": 1, "deleted": 4}}))
    counts = call("count_tenants", search="acme", product_code="psa")
    assert (counts.total, counts.by_state["deleted"]) == (1, 4)
    assert server.received[0].query == [("search", "acme"), ("productCode", "psa")]


def test_the_exports_of_all_tenants_are_read(server: ScriptedServer, call: Call) -> None:
    server.script("GET", "/exports", Reply(200, {"exports": [], "nextPageToken": None}))
    assert call("all_exports", state="completed", tenant_id=TENANT_ID, name="ac") == []
    assert dict(server.received[0].query) == {"state": "completed", "tenantId": TENANT_ID, "name": "ac"}
