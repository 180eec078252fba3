from typing import Any
from uuid import uuid4

import httpx
from playwright.sync_api import expect

from app.auth.scopes import Scope
from tests.browser.conftest import OpenConsole
from tests.browser.test_operations import blocked_creation, unblock
from tests.e2e.conftest import Service, request


def created(api: httpx.Client, name: str) -> dict[str, Any]:
    response = api.post("/tenants", json=request(tenantName=name), headers={"Prefer": "wait=50"})
    assert response.status_code == 201, response.text
    document: dict[str, Any] = response.json()
    return document


def test_the_overview_shows_at_once_what_starts_and_what_waits_for_a_person(
    open_console: OpenConsole, api: httpx.Client
) -> None:
    tenant_id = created(api, "Already there")["tenantId"]
    visitor = open_console()
    visitor.page.goto("/")
    expect(visitor.heading).to_have_text("Overview")
    expect(visitor.page.get_by_role("status")).to_have_text("Live")
    newest = visitor.page.get_by_role("region", name="Newest operations")
    waiting = visitor.page.locator("#waiting")

    created(api, "Appears by itself")
    expect(newest.get_by_role("row", name="Appears by itself")).to_contain_text("Completed")
    expect(waiting).not_to_contain_text("Already there")

    body = {"reason": "it was a test", "export": False}
    assert api.post(f"/tenants/{tenant_id}/deletion", json=body).is_success
    expect(waiting.get_by_role("listitem").filter(has_text="Already there")).to_contain_text(
        "It can be confirmed for"
    )
    visitor.inspect()

    visitor.page.get_by_role("img", name="Operations of the last 24 hours").hover()
    visitor.page.get_by_text("Show the numbers").first.click()
    expect(visitor.page.get_by_role("columnheader", name="Failed or cancelled")).to_be_visible()
    visitor.inspect()

    waiting.get_by_role("link", name="Already there").click()
    expect(visitor.heading).to_have_text("Deletion of Already there")
    visitor.go("/overview")
    expect(visitor.page.get_by_role("status")).to_have_text("Live")
    visitor.page.get_by_text("Show the numbers").first.click()
    assert api.post(f"/tenants/{tenant_id}/deletion/undo", json={"reason": "it was a test"}).is_success
    expect(waiting).not_to_contain_text("Already there")
    expect(visitor.page.get_by_role("columnheader", name="Failed or cancelled")).to_be_visible()
    visitor.page.locator("#day").get_by_role("link", name="Completed").click()
    expect(visitor.page.get_by_role("row", name="Appears by itself")).to_be_visible()


def test_a_caller_of_one_tenant_sees_only_that_ones_operations(open_console: OpenConsole, api: httpx.Client) -> None:
    tenant_id = created(api, "Of a bound caller")["tenantId"]
    visitor = open_console(tenant_id=tenant_id)
    visitor.go("/overview")
    expect(visitor.page.locator("#day").get_by_role("link", name="Completed")).to_contain_text("1")
    expect(visitor.page.locator("#recent").get_by_role("row")).to_have_count(2)

    visitor = open_console(tenant_id=str(uuid4()), viewport={"width": 390, "height": 800})
    visitor.go("/overview")
    expect(visitor.page.get_by_text("There are no operations yet.")).to_be_visible()
    expect(visitor.page.get_by_text("Nothing waits for a person.")).to_be_visible()
    visitor.inspect()


def test_paused_webhooks_wait_for_those_who_may_see_them(open_console: OpenConsole, api: httpx.Client) -> None:
    url = f"https://hooks.example.com/{uuid4()}"
    webhook = api.post("/webhooks", json={"url": url}).json()
    assert api.patch(f"/webhooks/{webhook['id']}", json={"isPaused": True}).is_success

    visitor = open_console(viewport={"width": 390, "height": 800})
    visitor.go("/overview")
    waiting = visitor.page.locator("#waiting")
    expect(waiting.get_by_role("listitem").filter(has_text=url)).to_contain_text("Paused since")
    visitor.inspect()

    visitor = open_console(frozenset({Scope.TENANTS_READ}))
    visitor.go("/overview")
    expect(visitor.heading).to_have_text("Overview")
    expect(visitor.page.get_by_text(url)).to_have_count(0)
    assert api.delete(f"/webhooks/{webhook['id']}").is_success


def test_a_creation_that_needs_attention_waits_for_a_person_at_once(
    open_console: OpenConsole, api: httpx.Client, service: Service
) -> None:
    visitor = open_console()
    visitor.go("/overview")

    workflow_id, tenant_id = blocked_creation(service, api, "Needs a hand")

    entry = visitor.page.locator("#waiting").get_by_role("listitem").filter(has_text="Needs a hand")
    expect(entry).to_contain_text("Needs attention")
    visitor.inspect()
    unblock(service, tenant_id)
    assert api.post(f"/operations/{workflow_id}/resume").is_success
    expect(entry).to_have_count(0)
