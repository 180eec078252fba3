import httpx
from playwright.sync_api import Page, expect

from app.auth.scopes import Scope
from tests.browser.conftest import OpenConsole
from tests.e2e.conftest import PATIENCE
from tests.support.servers.processes import wait_for

NAME = "deploy <b>bot</b> & 'co'"


def status_with(api: httpx.Client, key: str) -> int:
    """Return the status of a request with the key."""
    return api.get("/operations", headers={"Authorization": f"Bearer {key}"}).status_code


def shown_key(page: Page) -> str:
    key = page.locator("#key").text_content()
    assert key is not None
    assert key.startswith("at_")
    return key


def test_a_key_is_created_used_rotated_and_revoked(open_console: OpenConsole, api: httpx.Client) -> None:
    visitor = open_console()
    page = visitor.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.go("/api-keys")
    visitor.inspect()

    page.get_by_role("link", name="Create a key").click()
    visitor.inspect()
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("tenants:create").uncheck()
    page.get_by_label("Tenant id").fill("Acme")
    page.get_by_label("Days until it expires").fill("30")
    page.get_by_role("button", name="Create the key").click()
    expect(page.locator("#fault-tenantId")).to_contain_text("Tenant id must be a UUID like")
    expect(page.get_by_label("Name")).to_have_value(NAME)
    expect(page.get_by_label("tenants:create")).not_to_be_checked()
    visitor.inspect()
    page.get_by_label("Tenant id").clear()
    page.get_by_role("button", name="Create the key").click()
    expect(visitor.heading).to_have_text("The key was created")
    key = shown_key(page)
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == key
    visitor.inspect()
    assert status_with(api, key) == 200

    page.get_by_role("link", name="Open the key's page").click()
    expect(visitor.heading).to_have_text(f"API key: {NAME}")
    assert key not in page.content()
    visitor.inspect()
    page.get_by_role("link", name="Rotate").click()
    visitor.inspect()
    page.get_by_role("button", name="Rotate the key").click()
    expect(visitor.heading).to_have_text("The key was rotated")
    new = shown_key(page)
    assert (status_with(api, key), status_with(api, new)) == (200, 200)

    page.get_by_role("link", name="Open the key's page").click()
    page.get_by_role("link", name="Revoke").click()
    expect(page.get_by_role("main")).to_contain_text("tenants:cancel")
    visitor.inspect()
    page.get_by_role("button", name="Revoke the key").click()
    expect(page.get_by_role("main")).to_contain_text("Revoked")
    # Gateways notice within seconds.
    wait_for(lambda: status_with(api, new) == 401, timeout=PATIENCE)
    assert status_with(api, key) == 200
    page.get_by_role("link", name="What was done with this key").click()
    expect(visitor.heading).to_have_text("Audit trail")
    visitor.go("/audit?action=key.revoke")
    page.get_by_role("link", name="Key revoke").first.click()
    expect(page.get_by_role("main")).to_contain_text(NAME)


def test_revoking_the_own_key_signs_out_after_a_warning(open_console: OpenConsole) -> None:
    visitor = open_console()
    visitor.go(f"/api-keys/{visitor.key_id}/revoke")
    expect(visitor.page.get_by_role("main")).to_contain_text("you will be signed out at once")

    visitor.page.get_by_role("button", name="Revoke the key").click()

    expect(visitor.heading).to_have_text("Sign in")


def test_a_weak_caller_can_neither_grant_nor_revoke_more_than_it_has(
    open_console: OpenConsole, api: httpx.Client
) -> None:
    stronger = open_console(signs_in=False)
    visitor = open_console(frozenset({Scope.KEYS_MANAGE, Scope.TENANTS_READ}))
    page = visitor.page
    visitor.go("/api-keys/new")
    expect(page.get_by_role("checkbox")).to_have_count(2)
    page.evaluate("document.querySelector('form[action$=\"/api-keys\"] [type=checkbox]').name = 'scopes.audit:read'")
    page.get_by_label("Name").fill("too strong")
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Create the key").click()
    expect(page.get_by_role("alert")).to_contain_text("scopes that you don't have: audit:read")
    visitor.inspect()

    visitor.go(f"/api-keys/{stronger.key_id}")
    expect(page.get_by_role("main")).to_contain_text("You can't rotate or revoke this key")
    expect(page.get_by_role("link", name="Revoke")).to_have_count(0)
    refused = page.request.post(
        f"/console/api-keys/{stronger.key_id}/revoke",
        headers={"Origin": str(api.base_url).rstrip("/")},
        form={"any": "thing"},
    )
    assert refused.status == 403
    assert status_with(api, stronger.key) == 200
