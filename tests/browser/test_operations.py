from uuid import uuid4

import asyncpg
import httpx
from playwright.sync_api import expect

from app.auth.scopes import Scope
from app.embedded.processes.blocking import run_blocking
from tests.browser.conftest import OpenConsole
from tests.e2e import obstacles
from tests.e2e.conftest import Service, request
from workflows.tenants.steps import CREATE_ADMIN_USER


def block(service: Service, tenant_id: str) -> None:
    """Keep a tenant from being written until `unblock`, so that its creation waits for an operator."""
    _change(
        service,
        "INSERT INTO obstacles.placed VALUES ($1, $2, $3)",
        tenant_id,
        CREATE_ADMIN_USER,
        obstacles.LASTING_ERROR,
    )


def unblock(service: Service, tenant_id: str) -> None:
    _change(service, "DELETE FROM obstacles.placed WHERE subject = $1", tenant_id)


def _change(service: Service, statement: str, *values: str) -> None:
    async def change() -> None:
        connection = await asyncpg.connect(service.installation.admin_database_url)
        try:
            await connection.execute(statement, *values)
        finally:
            await connection.close()

    run_blocking(change())


def blocked_creation(service: Service, api: httpx.Client, name: str) -> tuple[str, str]:
    """Start a creation that does not get on; return its workflow id and the tenant's id."""
    tenant_id = str(uuid4())
    block(service, tenant_id)
    started = api.post("/tenants", json=request(tenantName=name, tenantId=tenant_id))
    assert started.status_code == 202, started.text
    return started.json()["workflowId"], tenant_id


def test_an_operation_is_found_in_the_list_and_shows_its_steps(open_console: OpenConsole, api: httpx.Client) -> None:
    created = api.post("/tenants", json=request(tenantName="Shown in the list"), headers={"Prefer": "wait=50"})
    assert created.status_code == 201, created.text
    visitor = open_console()
    visitor.go("/operations")
    visitor.page.get_by_label("Tenant's name").fill("in the LIST")
    visitor.page.get_by_text("Status, time and id").click()
    visitor.page.get_by_label("Completed").check()
    visitor.page.get_by_label("Failed").check()
    visitor.page.get_by_label("Started from").fill("2020-01-31T12:00")
    visitor.page.get_by_role("button", name="Filter").click()
    expect(visitor.page.get_by_label("Failed")).to_be_checked()
    expect(visitor.page.get_by_label("Started from")).to_have_value("2020-01-31T12:00")
    visitor.inspect()

    newer = api.post("/tenants", json=request(tenantName="Newer in the list"))
    assert newer.status_code == 202, newer.text
    expect(visitor.page.get_by_role("row", name="Newer in the list")).to_be_visible()
    visitor.page.get_by_role("row", name="Shown in the list").get_by_role("link").click()

    expect(visitor.heading).to_have_text("Tenant creation: Shown in the list")
    expect(visitor.page.get_by_role("listitem").filter(has_text="Apply blueprint")).to_contain_text("Completed")
    expect(visitor.page.locator("dl")).to_contain_text(["Requested by", "Billing source", "Admin user id"])
    visitor.inspect()
    visitor.go("/operations?name=no+such+tenant")
    expect(visitor.page.get_by_text("No operation matches")).to_be_visible()
    visitor.inspect()


def test_an_operation_that_waits_for_a_person_goes_on_with_changed_parameters(
    open_console: OpenConsole, api: httpx.Client, service: Service
) -> None:
    workflow_id, tenant_id = blocked_creation(service, api, "Needs a change")
    visitor = open_console()
    page = visitor.page
    visitor.go(f"/operations/{workflow_id}")
    expect(page.locator("#state .badge")).to_have_text("Needs attention")
    expect(page.get_by_text("The server's disk is full")).to_be_visible()
    visitor.inspect()

    page.get_by_role("link", name="Change parameters").click()
    page.get_by_label("Add-ons").fill("Not A Key")
    page.get_by_label("Licensed users").fill("12")
    page.get_by_role("button", name="Change the parameters").click()
    expect(page.locator(".fault")).to_contain_text("lower-case letters, digits, dots")
    expect(page.get_by_label("Licensed users")).to_have_value("12")
    visitor.inspect()
    unblock(service, tenant_id)
    page.get_by_label("Add-ons").fill("ai, sso")
    page.get_by_role("button", name="Change the parameters").click()

    expect(page.locator("#state .badge")).to_have_text("Completed")
    expect(page.locator("#spoken")).to_have_text("Completed")
    operation = api.get(f"/operations/{workflow_id}").json()
    assert (operation["parameters"]["licenseCount"], operation["parameters"]["addons"]) == (12, ["ai", "sso"])
    assert operation["tenantName"] == "Needs a change"
    visitor.go(f"/operations/{workflow_id}/change")
    expect(page.get_by_text("can't be changed any more")).to_be_visible()


def test_a_creation_is_cancelled_before_its_commit_and_can_be_repeated(
    open_console: OpenConsole, api: httpx.Client, service: Service
) -> None:
    workflow_id, _ = blocked_creation(service, api, "Ordered by mistake")
    visitor = open_console()
    page = visitor.page
    visitor.go(f"/operations/{workflow_id}")
    page.get_by_role("link", name="Cancel…").click()
    expect(page.get_by_text("The tenant is not created.")).to_be_visible()
    visitor.inspect()

    page.get_by_label("Reason").fill("sent twice")
    page.get_by_role("button", name="Cancel the operation").click()

    expect(page.locator("#state .badge")).to_have_text("Cancelled")
    expect(page.locator("#state")).to_contain_text("Nothing was written.")
    expect(page.locator("#state")).to_contain_text("sent twice")
    visitor.inspect()
    page.get_by_role("link", name="Create it again").click()
    expect(page.get_by_label("Name of the tenant")).to_have_value("Ordered by mistake")


def test_a_cancel_that_comes_after_the_commit_says_that_it_is_too_late(
    open_console: OpenConsole, api: httpx.Client, service: Service
) -> None:
    workflow_id, tenant_id = blocked_creation(service, api, "Too late")
    visitor = open_console()
    page = visitor.page
    visitor.go(f"/operations/{workflow_id}/cancel")
    page.get_by_label("Reason").fill("changed my mind")
    watcher = open_console()
    watcher.go(f"/operations/{workflow_id}")
    expect(watcher.page.locator("#state .badge")).to_have_text("Needs attention")
    unblock(service, tenant_id)
    watcher.page.get_by_role("button", name="Resume").click()
    expect(watcher.page.locator("#state .badge")).to_have_text("Completed")

    with page.expect_response(f"**/operations/{workflow_id}/cancel") as response:
        page.get_by_role("button", name="Cancel the operation").click()

    assert response.value.status == 409
    expect(page.get_by_role("alert")).to_contain_text("The operation is committed")
    visitor.inspect()
    page.get_by_role("link", name="Show the operation").click()
    expect(page.locator("#state .badge")).to_have_text("Completed")


def test_a_caller_of_another_tenant_and_one_without_scopes_find_less(
    open_console: OpenConsole, api: httpx.Client, service: Service
) -> None:
    workflow_id, _ = blocked_creation(service, api, "Seen by few")
    other = open_console(tenant_id=str(uuid4()))
    other.go(f"/operations/{workflow_id}")
    expect(other.heading).to_have_text("Operation not found")

    reader = open_console(frozenset({Scope.TENANTS_READ}))
    reader.go(f"/operations/{workflow_id}")
    expect(reader.page.locator("#state .badge")).to_have_text("Needs attention")
    expect(reader.page.locator("#state").get_by_role("button")).to_have_count(0)
    expect(reader.page.locator("#state").get_by_role("link")).to_have_count(0)
