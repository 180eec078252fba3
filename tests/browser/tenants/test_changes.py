"""Changes of tenants, from their pages."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
from playwright.sync_api import expect

from app.auth.scopes import Scope
from tests.browser.conftest import OpenConsole
from tests.browser.tenants.conftest import Execute
from tests.browser.tenants.made import make_tenant
from tests.e2e.conftest import MANAGEMENT_TENANT
from tests.support.servers.mail import MailServer

PHONE = {"width": 390, "height": 800}


def test_a_tenant_is_suspended_and_reactivated(open_console: OpenConsole, api: httpx.Client) -> None:
    made = make_tenant(api, f"Unpaid {uuid4().hex[:8]}", productCode="algadesk")
    visitor = open_console(frozenset({Scope.TENANTS_READ, Scope.TENANTS_SUSPEND, Scope.TENANTS_CHANGE}))
    page = visitor.page

    visitor.go(f"/tenants/{made.id}")
    page.get_by_role("link", name="Suspend").click()
    expect(page.get_by_text("1 user can't sign in any more")).to_be_visible()
    visitor.inspect()
    page.get_by_label("Reason").fill("unpaid for 60 days")
    page.get_by_label("Tenant's name").fill("Another")
    page.get_by_role("button", name="Suspend this tenant").click()
    expect(page.get_by_text(f"Tenant's name must be exactly {made.name}")).to_be_visible()
    expect(page.get_by_label("Reason")).to_have_value("unpaid for 60 days")
    assert api.get(f"/tenants/{made.id}").json()["state"] == "active"
    visitor.inspect()
    page.get_by_label("Tenant's name").fill(made.name)
    page.get_by_role("button", name="Suspend this tenant").click()

    expect(page.get_by_text("The tenant is suspended. Show the operation")).to_be_visible()
    expect(page.get_by_text("Reason: unpaid for 60 days")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="Change the product")).to_contain_text("Reactivate it first")
    assert api.get(f"/tenants/{made.id}").json()["state"] == "suspended"
    visitor.inspect()
    visitor.go(f"/tenants/{made.id}/product")
    expect(page.get_by_text("Not possible: the tenant is suspended")).to_be_visible()
    expect(page.get_by_role("button", name="Change the product")).to_have_count(0)
    visitor.go(f"/tenants/{made.id}/suspend")
    expect(page.get_by_text("The tenant is suspended already.")).to_be_visible()

    page.get_by_role("link", name="Back to the tenant").click()
    page.get_by_role("link", name="Reactivate").click()
    expect(page.get_by_text("1 user can sign in again")).to_be_visible()
    visitor.inspect()
    page.get_by_role("button", name="Reactivate this tenant").click()

    expect(page.get_by_text("The tenant is active again.")).to_be_visible()
    assert api.get(f"/tenants/{made.id}").json()["state"] == "active"


def test_the_management_tenant_is_never_suspended(open_console: OpenConsole, api: httpx.Client) -> None:
    made = make_tenant(api, "Management", tenantId=str(MANAGEMENT_TENANT))
    visitor = open_console()

    visitor.go(f"/tenants/{made.id}/suspend")

    expect(visitor.page.get_by_text("Not possible: This is Alga's own management tenant")).to_be_visible()
    expect(visitor.page.get_by_role("button", name="Suspend this tenant")).to_have_count(0)
    visitor.inspect()


def test_a_product_is_changed_after_a_look_at_what_is_added(open_console: OpenConsole, api: httpx.Client) -> None:
    made = make_tenant(api, f"Growing {uuid4().hex[:8]}", productCode="algadesk")
    preview = api.get(f"/tenants/{made.id}/product-change").json()
    visitor = open_console(viewport=PHONE)
    page = visitor.page

    visitor.go(f"/tenants/{made.id}")
    page.get_by_role("link", name="Change the product").click()
    expect(page.get_by_role("heading", name=f"It adds {preview['rows']:,} rows")).to_be_visible()
    expect(page.get_by_role("row", name="roles").filter(has_text="Dispatcher (MSP)").first).to_be_visible()
    visitor.inspect()
    page.get_by_label("Tenant's name").fill(made.name.lower())
    page.get_by_role("button", name="Change the product").click()
    expect(page.get_by_label("Tenant's name")).to_be_focused()
    visitor.inspect()
    page.get_by_label("Tenant's name").fill(made.name)
    page.get_by_role("button", name="Change the product").click()

    expect(page.get_by_text("The product was changed.")).to_be_visible()
    assert api.get(f"/tenants/{made.id}").json()["productCode"] == "psa"
    visitor.go(f"/tenants/{made.id}/product")
    expect(page.get_by_text("The tenant has the product PSA already.")).to_be_visible()
    visitor.inspect()


def test_a_licence_is_changed_and_its_warning_is_shown(
    open_console: OpenConsole, api: httpx.Client, execute: Execute
) -> None:
    made = make_tenant(api, "Licensed", licenseCount=5)
    execute(
        "INSERT INTO users (tenant, username, email, hashed_password, user_type)"
        " SELECT $1::uuid, 'user ' || n, 'user-' || n || '@' || ($1::uuid)::text, 'x', 'internal'"
        " FROM generate_series(1, 2) n",
        UUID(made.id),
    )
    visitor = open_console()
    page = visitor.page

    visitor.go(f"/tenants/{made.id}")
    page.get_by_role("link", name="Change the licence").click()
    visitor.inspect()
    page.get_by_label("Licences").fill("0")
    page.locator("main form").evaluate("form => { form.noValidate = true }")
    page.get_by_role("button", name="Change the licence").click()
    expect(page.locator("#fault-licenseCount")).to_be_visible()
    expect(page.get_by_label("Licences")).to_have_value("0")
    visitor.inspect()
    page.get_by_label("Licences").fill("2")
    page.get_by_label("Plan").select_option("Pro")
    page.get_by_role("button", name="Change the licence").click()

    expect(page.get_by_text("The licence was changed.")).to_be_visible()
    expect(page.get_by_text("the tenant has 3 active users, and the licence allows 2")).to_be_visible()
    visitor.inspect()
    changed = api.get(f"/tenants/{made.id}").json()
    assert (changed["licenseCount"], changed["plan"]) == (2, "pro")


def test_add_ons_are_granted_and_revoked(open_console: OpenConsole, api: httpx.Client) -> None:
    made = make_tenant(api, "With add-ons", addons=["a_key_of_its_own"])
    visitor = open_console(viewport=PHONE)
    page = visitor.page
    end = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M")

    visitor.go(f"/tenants/{made.id}")
    page.get_by_role("link", name="Change add-ons").click()
    expect(page.get_by_role("row", name="A key of its own")).to_contain_text("No effect in Alga")
    visitor.inspect()
    page.get_by_role("link", name="Teams").click()
    page.get_by_label("Ends at").fill("2020-01-01T12:00")
    page.get_by_role("button", name="Grant this add-on").click()
    expect(page.get_by_text("must be in the future")).to_be_visible()
    visitor.inspect()
    page.get_by_label("Ends at").fill(end)
    page.get_by_role("button", name="Grant this add-on").click()

    expect(page.get_by_text("The add-ons were changed.")).to_be_visible()
    (_, teams) = api.get(f"/tenants/{made.id}").json()["addons"]
    assert teams["expiresAt"] == f"{end}:00Z"
    visitor.go(f"/tenants/{made.id}/addons/teams")
    expect(page.get_by_label("Ends at")).to_have_value(end)
    visitor.inspect()
    page.get_by_role("button", name="Revoke this add-on").click()
    expect(page.get_by_text("The add-ons were changed.")).to_be_visible()
    assert [addon["addonKey"] for addon in api.get(f"/tenants/{made.id}").json()["addons"]] == ["a_key_of_its_own"]


def test_the_welcome_mail_is_sent_again_until_the_limit(
    open_console: OpenConsole, api: httpx.Client, mail_server: MailServer
) -> None:
    made = make_tenant(api, "Welcomed", skipWelcomeEmail=True)
    visitor = open_console()
    page = visitor.page

    for number in range(1, 4):
        visitor.go(f"/tenants/{made.id}")
        page.get_by_role("link", name="Send the welcome mail again").click()
        expect(page.get_by_label("To")).to_contain_text(made.email)
        if number == 1:
            visitor.inspect()
        page.get_by_role("button", name="Send the mail").click()
        expect(page.get_by_text("The welcome mail was sent.")).to_be_visible()
        assert mail_server.recipients.count(made.email) == number
    visitor.go(f"/tenants/{made.id}/welcome-email")

    expect(page.get_by_text("the tenant had 3 of these mails")).to_be_visible()
    expect(page.get_by_role("button", name="Send the mail")).to_have_count(0)
    visitor.inspect()


def test_an_open_deletion_is_the_reason_why_nothing_else_can_be_done(
    open_console: OpenConsole, api: httpx.Client
) -> None:
    made = make_tenant(api, f"Leaving {uuid4().hex[:8]}")
    begun = api.post(f"/tenants/{made.id}/deletion", json={"reason": "contract ended", "export": False})
    assert begun.status_code == 202, begun.text
    visitor = open_console()
    page = visitor.page

    visitor.go(f"/tenants?state=deletion_scheduled&search={made.id}")
    page.get_by_role("link", name=made.name).click()
    expect(page.get_by_text("It waits for a confirmation.")).to_be_visible()
    for action in ("Reactivate", "Change the licence", "Delete"):
        expect(page.get_by_role("listitem").filter(has_text=action).first).to_contain_text("Undo its deletion first")
    expect(page.get_by_role("link", name="Export", exact=True)).to_be_visible()
    visitor.inspect()
    for path in ("licence", "welcome-email", "reactivate", "addons"):
        visitor.go(f"/tenants/{made.id}/{path}")
        expect(page.get_by_text("Not possible").first).to_be_visible()
        expect(page.locator("main form")).to_have_count(0)


def test_a_form_is_shown_again_if_another_operation_came_first(open_console: OpenConsole, api: httpx.Client) -> None:
    made = make_tenant(api, f"Raced {uuid4().hex[:8]}")
    visitor = open_console()
    page = visitor.page
    visitor.go(f"/tenants/{made.id}/licence")
    page.get_by_label("Licences").fill("9")

    begun = api.post(f"/tenants/{made.id}/deletion", json={"reason": "contract ended", "export": False})
    assert begun.status_code == 202, begun.text
    page.get_by_role("button", name="Change the licence").click()

    expect(page.get_by_role("alert")).to_contain_text("has not ended")
    visitor.inspect()
