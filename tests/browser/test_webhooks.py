from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import asyncpg
import httpx
import pytest
from playwright.sync_api import Page, expect

from app.auth.scopes import Scope
from app.embedded.processes.blocking import run_blocking
from tests.browser.conftest import OpenConsole
from tests.browser.visitor import Visitor
from tests.e2e.conftest import Service, request
from tests.support.servers.receiver import Receiver, Reply

DESCRIPTION = "<i>billing</i> & 'invoices' \u202e\u00e4"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def visitor(open_console: OpenConsole, api: httpx.Client, receiver: Receiver) -> Iterator[Visitor]:
    """A person who manages webhooks; those of the test's receiver are deleted afterwards."""
    yield open_console()
    for webhook in api.get("/webhooks").json()["webhooks"]:
        if webhook["url"].startswith(receiver.url("")):
            api.delete(webhook["links"]["self"])


def shown_secret(page: Page) -> str:
    secret = page.locator("#secret").text_content()
    assert secret is not None
    assert secret.startswith("whsec_")
    return secret


def test_a_receiver_that_fails_and_then_works(visitor: Visitor, receiver: Receiver, api: httpx.Client) -> None:
    page = visitor.page
    visitor.go("/webhooks")
    page.get_by_role("link", name="Create a webhook").click()
    page.get_by_label("URL").fill("https://10.0.0.1/events")
    page.get_by_label("Description").fill(DESCRIPTION)
    page.get_by_label("tenant.*").check()
    page.get_by_role("button", name="Create the webhook").click()
    expect(page.locator("#fault-url")).to_contain_text("an address that is not public")
    expect(page.get_by_label("tenant.*")).to_be_checked()
    visitor.inspect()
    page.get_by_label("URL").fill(receiver.url())
    page.get_by_role("button", name="Create the webhook").click()
    receiver.secrets["/events"] = secret = shown_secret(page)
    visitor.inspect()

    receiver.reply = lambda _: Reply(HTTPStatus.INTERNAL_SERVER_ERROR)
    page.get_by_role("button", name="Send a test event").click()
    expect(page.get_by_role("list").filter(has_text="500")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("Next attempt in")
    visitor.inspect()
    page.get_by_role("link", name="All deliveries").click()
    expect(visitor.heading).to_have_text(f"Webhook: {DESCRIPTION}")
    expect(page.locator("#state")).to_contain_text("All attempts have failed")
    assert secret not in page.content()
    visitor.inspect()

    receiver.reply = lambda _: Reply()
    page.get_by_role("link", name="Webhook test").click()
    page.get_by_role("button", name="Try now").click()
    expect(page.locator("#attempts")).to_contain_text("Delivered")
    page.get_by_role("button", name="Deliver again").click()
    expect(page.get_by_role("listitem").filter(has_text="Succeeded")).to_have_count(2)

    page.get_by_role("link", name="All deliveries").click()
    created = api.post("/tenants", json=request(tenantName="Delivered live"), headers={"Prefer": "wait=50"})
    assert created.status_code == HTTPStatus.CREATED, created.text
    expect(page.get_by_role("row", name="Tenant created")).to_contain_text("Delivered")
    expect(page.get_by_role("img", name="Attempts of the last day, by hour")).to_be_visible()
    visitor.inspect()
    page.get_by_label("Status").select_option("Dead")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("No delivery has this status.")).to_be_visible()
    assert receiver.refused == []


def test_a_webhook_is_paused_changed_rotated_and_deleted(
    visitor: Visitor, receiver: Receiver, api: httpx.Client
) -> None:
    page = visitor.page
    made = api.post("/webhooks", json={"url": receiver.url("/old")}).json()
    visitor.go(made["links"]["self"])
    visitor.inspect()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state")).to_contain_text("paused by key:")
    page.get_by_role("button", name="Send a test event").click()
    expect(page.get_by_role("main")).to_contain_text("Waits until the webhook is resumed")

    visitor.go(f"{made['links']['self']}/change")
    page.get_by_label("URL").fill(receiver.url("/new"))
    page.get_by_label("tenant.deleted").check()
    visitor.inspect()
    page.get_by_role("button", name="Save the changes").click()
    expect(page.locator("#state")).to_contain_text("tenant.deleted")
    page.get_by_role("link", name="Rotate the secret").click()
    visitor.inspect()
    page.get_by_label("Hours").fill("0")
    page.get_by_role("button", name="Rotate the secret").click()
    receiver.secrets["/new"] = shown_secret(page)
    page.get_by_role("link", name="Open the webhook's page").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#deliveries")).to_contain_text("Succeeded")
    assert (len(receiver.received_at("/new")), receiver.refused) == (1, [])

    visitor.go("/webhooks")
    expect(page.get_by_role("row", name=receiver.url("/new"))).to_contain_text("Active")
    visitor.inspect()
    page.get_by_role("link", name=receiver.url("/new")).click()
    page.get_by_role("link", name="Delete").click()
    expect(page.get_by_role("main")).to_contain_text("Delivered events in the log")
    visitor.inspect()
    page.get_by_role("button", name="Delete this webhook").click()
    expect(visitor.heading).to_have_text("Webhooks")
    assert api.get(made["links"]["self"]).status_code == HTTPStatus.NOT_FOUND


def test_dead_events_of_a_time_are_delivered_again(
    visitor: Visitor, receiver: Receiver, api: httpx.Client, service: Service
) -> None:
    page = visitor.page
    made = api.post("/webhooks", json={"url": receiver.url("/dead")}).json()
    receiver.secrets["/dead"] = made["secret"]
    assert api.patch(made["links"]["self"], json={"isPaused": True}).is_success
    assert api.post(f"{made['links']['self']}/test").is_success
    run_blocking(kill_deliveries(service.installation.admin_database_url, made["id"]))
    visitor.go(f"{made['links']['self']}?status=dead")
    expect(page.get_by_role("row", name="Webhook test")).to_contain_text("Dead")

    page.get_by_role("link", name="Deliver dead events again").click()
    expect(page.get_by_role("main")).to_contain_text("1 event is dead")
    visitor.inspect()
    page.get_by_label("Events from").fill(f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M}")
    page.get_by_role("button", name="Deliver dead events again").click()
    expect(page.get_by_role("status").filter(has_text="0 events are delivered again.")).to_be_visible()
    page.get_by_role("link", name="Deliver dead events again").click()
    page.get_by_role("button", name="Deliver dead events again").click()
    expect(page.get_by_role("status").filter(has_text="1 event is delivered again.")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#deliveries")).to_contain_text("Succeeded")
    assert receiver.refused == []


async def kill_deliveries(url: str, webhook_id: str) -> None:
    """Mark the webhook's deliveries as dead, as they are after days of failed attempts."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "UPDATE alga_tenants.deliveries SET status = 'dead', ended_at = now() WHERE webhook_id = $1", webhook_id
        )
    finally:
        await connection.close()


def test_a_caller_without_the_scope_sees_no_webhooks(open_console: OpenConsole) -> None:
    visitor = open_console(frozenset({Scope.TENANTS_READ}))
    expect(visitor.page.get_by_role("link", name="Webhooks")).to_have_count(0)
    visitor.go("/webhooks")
    expect(visitor.heading).to_have_text("Scope missing")
