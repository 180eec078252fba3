from datetime import UTC, datetime, timedelta

import httpx
from playwright.sync_api import expect

from app.auth.scopes import Scope
from tests.browser.conftest import OpenConsole
from tests.e2e.conftest import PATIENCE, request
from tests.support.servers.processes import wait_for

# The browser's; 5 h 30 min before UTC.
ZONE = "Asia/Kolkata"


def actions_of(api: httpx.Client, caller: str) -> set[str]:
    events = api.get("/audit-events", params={"caller": caller}).json()["events"]
    return {event["action"] for event in events}


def test_the_filter_finds_a_denied_request(open_console: OpenConsole, api: httpx.Client) -> None:
    weak = open_console(frozenset({Scope.TENANTS_READ}))
    weak.go("/audit")
    expect(weak.heading).to_have_text("Scope missing")
    caller = f"key:{weak.key_id}"
    weak.page.get_by_role("button", name="Sign out").click()
    done = {"session.open", "request.denied", "session.close"}
    wait_for(lambda: actions_of(api, caller) == done, timeout=PATIENCE)
    visitor = open_console(timezone_id=ZONE)
    page = visitor.page
    visitor.go("/audit")

    page.get_by_label("Caller").fill(caller)
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("rowheader")).to_have_text(["Session close", "Request denied", "Session open"])
    page.get_by_label("Outcome").select_option("Denied")
    # An hour and a half ago, in that zone.
    typed = f"{datetime.now(UTC) + timedelta(hours=4):%Y-%m-%dT%H:%M}"
    page.get_by_label("From").fill(typed)
    page.get_by_role("button", name="Filter").click()

    expect(page.get_by_role("rowheader")).to_have_count(1)
    expect(page.get_by_label("From")).to_have_value(typed)
    visitor.inspect()
    page.get_by_role("link", name="Request denied").click()
    expect(page.get_by_role("main")).to_contain_text("GET /console/audit")
    expect(page.get_by_role("main")).to_contain_text("Scope missing")
    visitor.inspect()

    visitor.go(f"/audit?caller={caller}&occurredAfter={datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M}")
    expect(page.get_by_text("No event matches")).to_be_visible()
    visitor.inspect()
    visitor.go("/audit?tenantId=%3Cscript%3E&action=nothing")
    expect(page.locator("#fault-tenantId")).to_contain_text("Tenant id must be a UUID like")
    expect(page.get_by_label("Tenant id")).to_have_value("<script>")
    visitor.inspect()


def test_a_bound_caller_sees_its_tenants_events_only(open_console: OpenConsole, api: httpx.Client) -> None:
    created = api.post("/tenants", json=request(tenantName="Audited"), headers={"Prefer": "wait=50"})
    assert created.status_code == 201, created.text
    tenant_id = created.json()["tenantId"]
    visitor = open_console(tenant_id=tenant_id)
    visitor.go("/audit?action=tenant.create")
    expect(visitor.page.get_by_role("rowheader")).to_have_count(1)
    visitor.page.get_by_role("link", name="tenant-creation-").click()
    expect(visitor.heading).to_have_text("Tenant creation: Audited")

    visitor.go("/audit")
    # Webhooks receive the events of all tenants, so this caller's menu lacks them, too.
    expect(visitor.page.get_by_role("link", name="Webhook")).to_have_count(0)
    visitor.go("/audit/1")
    expect(visitor.heading).to_have_text("Audit event not found")
