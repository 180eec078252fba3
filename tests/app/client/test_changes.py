"""Both clients change tenants: their suspension, product, licence and add-ons."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.client import Operation, Tenant
from tests.app.client.conftest import Call
from tests.app.client.scripted_server import (
    TENANT_ID,
    TENANT_PATH,
    WORKFLOW_ID,
    Reply,
    ScriptedServer,
    document,
    problem,
    tenant,
)

END = datetime(2030, 1, 31, 12, tzinfo=UTC)


def test_a_licence_is_changed(server: ScriptedServer, call: Call) -> None:
    server.script("PATCH", f"{TENANT_PATH}/licence", Reply(200, tenant()), Reply(202, document("queued")))
    assert isinstance(call("change_licence", TENANT_ID, license_count=25, plan="pro", event_id="evt_1"), Tenant)
    started = call("change_licence", TENANT_ID, plan="solo", wait=0)
    assert (isinstance(started, Operation), started.workflow_id) == (True, WORKFLOW_ID)
    first, second = server.received
    assert first.body == {"licenseCount": 25, "plan": "pro", "eventId": "evt_1"}
    assert (second.body, second.headers["prefer"]) == ({"plan": "solo"}, "wait=0")


def test_an_addon_is_granted_and_revoked(server: ScriptedServer, call: Call) -> None:
    path = f"{TENANT_PATH}/addons/teams"
    server.script("PUT", path, Reply(200, tenant()))
    server.script("DELETE", path, Reply(200, tenant()))
    assert isinstance(call("grant_addon", TENANT_ID, "teams", expires_at=END, event_id="evt_1"), Tenant)
    assert isinstance(call("revoke_addon", TENANT_ID, "teams", event_id="evt_2"), Tenant)
    granted, revoked = server.received
    assert granted.body == {"expiresAt": "2030-01-31T12:00:00+00:00", "eventId": "evt_1"}
    assert (revoked.body, dict(revoked.query)) == (None, {"eventId": "evt_2"})


@pytest.mark.parametrize("key", ["", "..", "a/b"])
def test_a_key_is_one_part_of_the_path(server: ScriptedServer, call: Call, key: str) -> None:
    server.script("DELETE", f"{TENANT_PATH}/addons/a%2Fb", Reply(200, tenant()))
    if key == "a/b":
        call("revoke_addon", TENANT_ID, key)
    else:
        with pytest.raises(Exception, match="is not an id"):
            call("revoke_addon", TENANT_ID, key)


@pytest.mark.parametrize(
    ("method", "http_method", "name", "arguments", "body"),
    [
        ("suspend_tenant", "PUT", "suspension", {"reason": "unpaid"}, {"reason": "unpaid"}),
        ("reactivate_tenant", "DELETE", "suspension", {}, None),
        ("change_product", "POST", "product-change", {}, {"productCode": "psa"}),
    ],
)
def test_a_changed_tenant_is_read_or_else_the_operation(  # noqa: PLR0917 - the parameters of one call
    server: ScriptedServer,
    call: Call,
    method: str,
    http_method: str,
    name: str,
    arguments: dict[str, Any],
    body: dict[str, Any] | None,
) -> None:
    path = f"{TENANT_PATH}/{name}"
    replies = [Reply(200, tenant(state="suspended")), Reply(202, document("queued"))]
    server.script(http_method, path, problem(503, "tenant-busy", headers={"Retry-After": "0"}), *replies)
    changed = call(method, TENANT_ID, **arguments)
    assert isinstance(changed, Tenant)
    started = call(method, TENANT_ID, wait=2, **arguments)
    assert (isinstance(started, Operation), started.workflow_id) == (True, WORKFLOW_ID)
    # The first one was repeated.
    assert [received.headers.get("prefer") for received in server.received] == [None, None, "wait=2"]
    assert {str(received.body) for received in server.received} == {str(body)}
