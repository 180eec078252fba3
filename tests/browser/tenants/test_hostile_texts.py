"""Texts that were written to do harm, in every field of the tenants' pages."""

from uuid import UUID, uuid4

import httpx
from playwright.sync_api import expect

from tests.browser.conftest import OpenConsole
from tests.browser.tenants.conftest import Execute
from tests.browser.tenants.made import make_tenant
from tests.browser.visitor import Visitor

PHONE = {"width": 390, "height": 800}
TEXTS = {
    "script": """"'><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">{{ 7 * 7 }}&lt;b&gt;""",
    "direction": "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe \N{LEFT-TO-RIGHT ISOLATE}\N{ARABIC LETTER ALEF} unclosed",
    "long": "W" * 255,
    "marks": "Z\u0317\u0346\u0351" * 40 + " \N{FAMILY}\N{ZERO WIDTH JOINER}\N{WOMAN} \N{ZERO WIDTH SPACE}",
    "controls": "a\x01\x08\x0b\x1b[31m\x7f\x85b\N{LINE SEPARATOR}c\r\nd\te",
}
FILL = (
    "UPDATE tenants SET client_name = $2, email = $2, plan = $2, billing_source = $2 WHERE tenant = $1",
    "UPDATE clients SET client_name = $2 || '!' WHERE tenant = $1",
    "UPDATE users SET first_name = $2, last_name = $2, email = $2 || '@' || ($1::uuid)::text WHERE tenant = $1::uuid",
    "UPDATE roles SET role_name = $2 WHERE tenant = $1 AND role_name <> 'Admin'",
    "DELETE FROM tenant_addons WHERE tenant = $1",
    "INSERT INTO tenant_addons (tenant, addon_key) VALUES ($1, $2)",
    "DELETE FROM email_domains WHERE tenant = $1",
    "INSERT INTO email_domains (tenant, domain_name) VALUES ($1, left($2, 200))",
)
PATHS = ("", "/users", "/suspend", "/reactivate", "/product", "/licence", "/addons", "/welcome-email", "/footprint")


def test_no_text_of_a_tenant_runs_or_breaks_a_page(
    open_console: OpenConsole, api: httpx.Client, execute: Execute
) -> None:
    made = make_tenant(api, "Harmless", productCode="algadesk")
    visitor = open_console(viewport=PHONE)
    for text in TEXTS.values():
        for statement in FILL:
            execute(statement, UUID(made.id), text) if "$2" in statement else execute(statement, UUID(made.id))
        for path in (f"?search={made.id}", *(f"/{made.id}{path}" for path in PATHS)):
            visitor.go(f"/tenants{path}")
            expect(visitor.heading).to_be_visible()
            _check(visitor)
        expect(visitor.page.get_by_role("img", name="Rows by table")).to_be_visible()
        visitor.page.get_by_text("Names").click()
        _check(visitor)
        visitor.inspect()
    for path in ("", "/addons"):
        visitor.go(f"/tenants/{made.id}{path}")
        visitor.inspect()


def test_a_tenant_whose_name_can_not_be_typed_is_suspended(
    open_console: OpenConsole, api: httpx.Client, execute: Execute
) -> None:
    made = make_tenant(api, f"Typed {uuid4().hex[:8]}")
    execute("UPDATE tenants SET client_name = $2 WHERE tenant = $1", UUID(made.id), TEXTS["controls"])
    visitor = open_console()
    page = visitor.page
    visitor.go(f"/tenants/{made.id}/suspend")
    page.get_by_label("Reason").fill(TEXTS["script"])
    page.get_by_label("Tenant's name").fill("a [31m b c d e")

    page.get_by_role("button", name="Suspend this tenant").click()

    expect(page.get_by_text("The tenant is suspended. Show the operation")).to_be_visible()
    expect(page.get_by_text(TEXTS["script"])).to_be_visible()
    _check(visitor)
    visitor.inspect()


def _check(visitor: Visitor) -> None:
    """Check that no text has run, and that the page is no wider than the window."""
    page = visitor.page
    assert page.evaluate("window.hacked") is None, page.url
    assert page.locator("main img, main script, main b:not(strong)").count() == 0, page.url
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width <= 0, f"{page.url} is {width} pixels too wide"
