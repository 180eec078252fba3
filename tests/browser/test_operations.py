import httpx
from playwright.sync_api import expect

from tests.browser.conftest import OpenConsole
from tests.e2e.conftest import request


def test_an_operation_is_found_in_the_list_and_shows_its_steps(open_console: OpenConsole, api: httpx.Client) -> None:
    created = api.post("/tenants", json=request(tenantName="Shown in the list"), headers={"Prefer": "wait=50"})
    assert created.status_code == 201, created.text
    visitor = open_console()
    visitor.go("/operations")
    visitor.page.get_by_label("Tenant's name").fill("shown in")
    visitor.page.get_by_role("button", name="Filter").click()
    visitor.inspect()

    visitor.page.get_by_role("row", name="Shown in the list").get_by_role("link").click()

    expect(visitor.heading).to_have_text("Tenant creation: Shown in the list")
    expect(visitor.page.get_by_role("list").filter(has_text="Apply blueprint")).to_contain_text("Completed")
    visitor.inspect()
