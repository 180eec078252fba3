"""Pages that keep up to date by themselves, on a gateway that is cut off from its servers, restarted and busy."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from playwright.sync_api import Page, Request, expect

from app.embedded.processes.blocking import run_blocking
from tests.browser.conftest import OpenConsole
from tests.browser.visitor import Visitor
from tests.e2e.conftest import Service, request
from tests.e2e.replicas import Replica
from tests.support.servers.proxy import LOOPBACK, Proxy

# A caller may have a fifth of them.
STREAMS = 10
LOST = "Connection lost. Trying again…"

SHIFTS = """() => new Promise((resolve) => {
    let sum = 0;
    new PerformanceObserver((list) => { for (const shift of list.getEntries()) sum += shift.value; })
        .observe({ type: "layout-shift", buffered: true });
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => resolve(sum), 0)));
})"""
SHOW_AS = """(visibility) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => visibility === "hidden" });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
MORPH = """async (text) => {
    const { morph } = await import(new URL("morph.js", document.querySelector("script[type=module]").src));
    morph(document.getElementById("health"), text, () => {});
}"""


@dataclass(frozen=True)
class Distant:
    """A gateway that reaches its servers through proxies."""

    gateway: Replica
    portal: BlockingPortal
    database: Proxy
    temporal: Proxy


@pytest.fixture(scope="module")
def distant(service: Service) -> Iterator[Distant]:
    environment = service.environment
    database_url, temporal_port = environment["DATABASE_URL"], int(environment["TEMPORAL_ADDRESS"].rpartition(":")[2])
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Proxy(urlsplit(database_url).port or 0)) as database,
        portal.wrap_async_context_manager(Proxy(temporal_port)) as temporal,
    ):
        settings = {
            "DATABASE_URL": re.sub(r"@[^/]+", f"@{LOOPBACK}:{database.port}", database_url),
            "TEMPORAL_ADDRESS": f"{LOOPBACK}:{temporal.port}",
            "MAX_EVENT_STREAMS": str(STREAMS),
        }
        gateway = Replica(service, "gateway", settings)
        try:
            run_blocking(gateway.start())
            yield Distant(gateway, portal, database, temporal)
        finally:
            gateway.process.stop()


def create(api: httpx.Client, name: str) -> str:
    response = api.post("/tenants", json=request(tenantName=name), headers={"Prefer": "wait=50"})
    assert response.status_code == 201, response.text
    tenant_id: str = response.json()["tenantId"]
    return tenant_id


def watch_overview(visitor: Visitor) -> Page:
    visitor.go("/overview")
    expect(visitor.page.get_by_role("status")).to_have_text("Live")
    return visitor.page


def is_live(sent: Request) -> bool:
    return sent.url.endswith("/overview/live")


def test_a_page_goes_on_after_its_gateway_was_restarted_and_a_person_does_not_lose_their_place(
    open_console: OpenConsole, api: httpx.Client, distant: Distant
) -> None:
    create(api, "Before the restart")
    page = watch_overview(visitor := open_console(url=distant.gateway.url))
    assert page.evaluate(SHIFTS) < 0.01
    link = page.get_by_role("row", name="Before the restart").get_by_role("link")
    page.get_by_text("Show the numbers").first.click()
    link.focus()

    distant.gateway.process.stop()
    expect(page.get_by_role("status")).to_have_text(LOST)
    expect(link).to_be_visible()
    visitor.inspect()
    create(api, "Meanwhile")
    run_blocking(distant.gateway.start())

    expect(page.get_by_role("status")).to_have_text("Live")
    expect(page.get_by_role("row", name="Meanwhile")).to_be_visible()
    expect(link).to_be_focused()
    expect(page.get_by_role("columnheader", name="Failed or cancelled")).to_be_visible()


def test_without_the_database_a_page_says_that_it_may_be_old_and_others_say_what_is_missing(
    open_console: OpenConsole, distant: Distant
) -> None:
    page = watch_overview(visitor := open_console(url=distant.gateway.url))

    distant.portal.call(distant.database.refuse)
    try:
        expect(page.get_by_role("status")).to_contain_text("What you see may be old: the database is not available")
        visitor.inspect()
        other = Visitor(page.context.new_page(), visitor.key, visitor.key_id)
        response = other.page.goto("/console/overview")
        assert response is not None
        assert response.status == 503
        expect(other.heading).to_have_text("Database unavailable")
        expect(other.page.get_by_text("The database is unavailable; retry later")).to_be_visible()
        other.inspect()
    finally:
        distant.portal.call(distant.database.accept)

    expect(page.get_by_role("status")).to_have_text("Live")
    other.page.get_by_role("link", name="Try again").click()
    expect(other.heading).to_have_text("Overview")


def test_without_temporal_the_overview_shows_what_is_recorded_with_a_note(
    open_console: OpenConsole, api: httpx.Client, distant: Distant
) -> None:
    create(api, "Recorded")
    page = watch_overview(visitor := open_console(url=distant.gateway.url))

    distant.portal.call(distant.temporal.refuse)
    try:
        expect(page.get_by_text("Temporal does not respond.")).to_be_visible()
        expect(page.get_by_role("row", name="Recorded")).to_be_visible()
        visitor.inspect()
    finally:
        distant.portal.call(distant.temporal.accept)

    expect(page.get_by_text("Temporal does not respond.")).to_have_count(0)


def test_a_window_too_many_says_so_and_gets_its_turn_once_another_is_closed(
    open_console: OpenConsole, distant: Distant
) -> None:
    visitor = open_console(url=distant.gateway.url)
    watched = [visitor.page, visitor.page.context.new_page()]
    for page in watched:
        watch_overview(Visitor(page, visitor.key, visitor.key_id))
    third = Visitor(visitor.page.context.new_page(), visitor.key, visitor.key_id)
    third.go("/overview")

    expect(third.page.get_by_role("status")).to_have_text(re.compile("Not live: You have 2 event streams"))
    third.inspect()
    watched[1].close()

    expect(third.page.get_by_role("status")).to_have_text("Live")


def test_a_page_says_that_the_session_has_ended_and_leads_to_the_sign_in(
    open_console: OpenConsole, api: httpx.Client
) -> None:
    page = watch_overview(visitor := open_console())

    assert api.delete(f"/api-keys/{visitor.key_id}").is_success

    expect(page.get_by_role("status")).to_contain_text("Your session has ended.")
    visitor.inspect()
    page.get_by_role("status").get_by_role("link", name="Sign in").click()
    expect(visitor.heading).to_have_text("Sign in")


def test_a_page_that_nobody_looks_at_closes_its_stream_and_catches_up_later(
    open_console: OpenConsole, api: httpx.Client
) -> None:
    page = watch_overview(open_console())

    with page.expect_event("requestfailed", is_live):
        page.evaluate(SHOW_AS, "hidden")
    create(api, "While hidden")
    with page.expect_request(is_live):
        page.evaluate(SHOW_AS, "visible")

    expect(page.get_by_role("row", name="While hidden")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("Live")


def test_a_page_of_an_operation_ends_with_it(open_console: OpenConsole, api: httpx.Client) -> None:
    tenant_id = create(api, "Ends")
    body = {"reason": "it was a test", "export": False}
    deletion = api.post(f"/tenants/{tenant_id}/deletion", json=body).json()
    visitor = open_console()
    visitor.go(f"/operations/{deletion['workflowId']}")
    expect(visitor.page.locator("#live")).to_have_text("Live")

    assert api.post(f"/tenants/{tenant_id}/deletion/undo", json={"reason": "it was a test"}).is_success

    expect(visitor.page.locator("#live")).to_have_text("No more changes")
    expect(visitor.page.locator("#state").get_by_text("Cancelled").first).to_be_visible()


def test_what_a_person_types_and_has_in_focus_stays_while_its_surroundings_change(open_console: OpenConsole) -> None:
    page = watch_overview(open_console())
    reason, button = page.get_by_label("Reason"), page.get_by_role("button", name="Send")
    form = '<form id="form"><label>Reason <input></label><button>Send</button></form>'
    page.evaluate(MORPH, form)

    reason.fill("typed")
    page.evaluate(MORPH, f'<p id="above">New</p>{form}')
    expect(reason).to_have_value("typed")
    expect(reason).to_be_focused()

    button.focus()
    page.evaluate(MORPH, f'{form}<p id="above">Now below</p>')
    expect(reason).to_have_value("typed")
    expect(button).to_be_focused()

    page.evaluate(MORPH, '<p id="above">Alone</p>')
    expect(page.locator("#health")).to_have_text("Alone")
    expect(page.get_by_role("main")).to_be_focused()


def test_the_focus_stays_on_a_row_that_new_ones_push_down(open_console: OpenConsole) -> None:
    page = watch_overview(open_console())

    def show(*names: str) -> None:
        rows = (f'<tr><td><a href="#{name}" data-focus="{name}">{name}</a></td></tr>' for name in names)
        page.evaluate(MORPH, f"<table>{''.join(rows)}</table>")

    show("first", "second")
    link = page.get_by_role("link", name="first")
    link.focus()

    show("newest", "newer", "first")
    expect(link).to_be_focused()
    expect(page.locator("#health").get_by_role("link")).to_have_text(["newest", "newer", "first"])

    show("newest", "newest", "newer")
    expect(page.locator("#health").get_by_role("link")).to_have_text(["newest", "newest", "newer"])
    expect(page.get_by_role("main")).to_be_focused()
