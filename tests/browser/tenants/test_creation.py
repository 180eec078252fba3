import re
from uuid import uuid4

import httpx
from playwright.sync_api import expect

from tests.browser.conftest import OpenConsole
from tests.browser.test_operations import block, unblock
from tests.e2e.conftest import Service, request

# A generated password.
GENERATED = re.compile(r"^\S{16,}$")


def test_a_tenant_is_created_after_errors_at_the_fields_and_its_password_is_shown_once(
    open_console: OpenConsole, api: httpx.Client
) -> None:
    taken = request()
    assert api.post("/tenants", json=taken, headers={"Prefer": "wait=50"}).status_code == 201
    visitor = open_console()
    page = visitor.page
    visitor.go("/tenants")
    page.get_by_role("link", name="New tenant").click()
    visitor.inspect()
    page.get_by_label("Name of the tenant").fill("Made in the console")
    page.get_by_label("Product").select_option("algadesk")
    page.get_by_label("First name").fill("Grace")
    page.get_by_label("Last name").fill("Hopper")
    page.get_by_label("E-mail address").fill("grace@nowhere")
    page.get_by_label("Password").fill("a password that is lost")
    page.get_by_label("Billing plan").select_option("Help Desk")
    page.get_by_label("Licensed users").fill("25")
    page.locator("summary", has_text="More").click()
    page.get_by_label("Don't make it a customer").check()

    page.get_by_role("button", name="Create the tenant").click()
    expect(page.locator(".fault")).to_contain_text("E-mail address must be an e-mail address like")
    expect(page.get_by_label("Password")).to_have_value("")
    expect(page.get_by_label("Don't make it a customer")).to_be_checked()
    visitor.inspect()

    page.get_by_label("E-mail address").fill(taken["adminUser"]["email"])
    page.get_by_role("button", name="Create the tenant").click()
    expect(page.locator(".fault")).to_contain_text("Another internal user has the administrator's e-mail already")
    expect(page.get_by_label("Licensed users")).to_have_value("25")

    page.get_by_label("E-mail address").fill(f"grace-{uuid4().hex}@navy.example")
    page.get_by_role("button", name="Create the tenant").click()
    expect(page.locator("#state .badge")).to_have_text("Completed")
    expect(page.locator("#password")).to_have_text(GENERATED)
    visitor.inspect()
    page.get_by_role("link", name="Show the tenant").click()
    expect(visitor.heading).to_contain_text("Made in the console")


def test_a_creation_is_watched_live_after_its_form(open_console: OpenConsole, service: Service) -> None:
    tenant_id = str(uuid4())
    block(service, tenant_id)
    visitor = open_console()
    page = visitor.page
    visitor.go("/tenants/new")
    page.get_by_label("Name of the tenant").fill("Watched")
    page.get_by_label("First name").fill("Grace")
    page.get_by_label("Last name").fill("Hopper")
    page.get_by_label("E-mail address").fill(f"grace-{uuid4().hex}@navy.example")
    page.locator("summary", has_text="More").click()
    page.get_by_label("Tenant id").fill(tenant_id)
    page.get_by_label("Don't make it a customer").check()
    page.get_by_role("button", name="Create the tenant").click()
    password = page.locator("#password")
    expect(password).to_have_text(GENERATED)
    expect(page.locator("#state")).to_contain_text("The server's disk is full")

    unblock(service, tenant_id)

    expect(page.locator("#state .badge")).to_have_text("Completed")
    expect(password).to_have_text(GENERATED)
    page.reload()
    expect(page.get_by_text("can't be shown again")).to_be_visible()
    visitor.inspect()
