"""The pages that show tenants."""

from uuid import uuid4

import httpx
from playwright.sync_api import expect

from app.auth.scopes import Scope
from tests.browser.conftest import OpenConsole
from tests.browser.tenants.made import make_tenant

PHONE = {"width": 390, "height": 800}


def test_a_tenant_is_found_and_shown_with_its_users(open_console: OpenConsole, api: httpx.Client) -> None:
    name = f"Found {uuid4().hex[:8]}"
    made = make_tenant(api, name, licenseCount=7)
    visitor = open_console()
    page = visitor.page

    visitor.go("/tenants")
    page.get_by_label("Name, e-mail or id").fill(f"nothing {uuid4().hex}")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("No tenant matches")).to_be_visible()
    visitor.inspect()
    page.get_by_label("Name, e-mail or id").fill(name.upper())
    page.get_by_label("State").select_option("Active")
    page.get_by_role("button", name="Filter").click()
    row = page.get_by_role("row", name=name)
    expect(row).to_contain_text("1 of 7")
    visitor.inspect()
    row.get_by_role("link").click()

    expect(visitor.heading).to_have_text(name)
    expect(page.get_by_role("row", name="Tenant creation")).to_contain_text("Completed")
    visitor.inspect()
    page.get_by_role("link", name="Users").click()
    expect(page.get_by_role("row", name=made.email)).to_contain_text("Admin")
    visitor.inspect()
    page.get_by_label("Can sign in").select_option("No")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("No user matches")).to_be_visible()
    page.get_by_role("link", name=name).click()
    page.get_by_role("link", name="All operations of this tenant").click()
    expect(page.get_by_role("row", name=name)).to_have_count(1)


def test_a_footprint_is_counted_while_the_page_is_shown(open_console: OpenConsole, api: httpx.Client) -> None:
    made = make_tenant(api, "Counted")
    counted = api.get(f"/tenants/{made.id}/footprint").json()
    visitor = open_console(viewport=PHONE)

    visitor.go(f"/tenants/{made.id}")
    visitor.page.get_by_role("link", name="Footprint").click()

    expect(visitor.page.get_by_role("listitem").filter(has_text="Rows")).to_contain_text(f"{counted['rows']:,}")
    expect(visitor.page.get_by_role("img", name="Rows by table")).to_be_visible()
    expect(visitor.page.get_by_role("heading", name="In other systems")).to_be_visible()
    visitor.inspect()


def test_a_footprint_needs_no_script(open_console: OpenConsole, api: httpx.Client) -> None:
    made = make_tenant(api, "Counted without a script")
    visitor = open_console(java_script_enabled=False)
    visitor.go(f"/tenants/{made.id}/footprint")

    visitor.page.get_by_role("link", name="Count and wait").click()

    expect(visitor.page.get_by_role("img", name="Rows by table")).to_be_visible()


def test_a_bound_caller_sees_its_tenant_and_the_actions_of_its_scopes(
    open_console: OpenConsole, api: httpx.Client
) -> None:
    mine, theirs = make_tenant(api, f"Mine {uuid4().hex[:8]}"), make_tenant(api, f"Theirs {uuid4().hex[:8]}")
    visitor = open_console(frozenset({Scope.TENANTS_READ, Scope.TENANTS_SUSPEND}), tenant_id=mine.id)

    visitor.go("/tenants")
    expect(visitor.page.get_by_role("row").filter(has=visitor.page.get_by_role("link"))).to_have_count(1)
    expect(visitor.page.get_by_role("link", name="New tenant")).to_have_count(0)
    visitor.page.get_by_role("link", name=mine.name).click()
    expect(visitor.page.get_by_role("link", name="Suspend")).to_be_visible()
    for hidden in ("Change the licence", "Export", "Delete", "Send the welcome mail again", "Audit trail"):
        expect(visitor.page.get_by_role("link", name=hidden, exact=True)).to_have_count(0)

    visitor.go(f"/tenants/{theirs.id}")
    expect(visitor.page.get_by_text(theirs.name)).to_have_count(0)
    expect(visitor.heading).to_have_text("Tenant not found")
    visitor.inspect()
