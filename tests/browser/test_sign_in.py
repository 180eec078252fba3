import httpx
from playwright.sync_api import Browser, expect

from app.auth.scopes import Scope
from app.embedded.processes.ports import LOOPBACK
from tests.browser.conftest import OpenConsole
from tests.browser.visitor import Visitor
from tests.e2e.conftest import Service
from tests.support.servers.program import need_program


def test_a_person_signs_in_with_a_key_and_out_again(open_console: OpenConsole) -> None:
    visitor = open_console(signs_in=False)
    visitor.page.goto("/")
    expect(visitor.heading).to_have_text("Sign in")
    visitor.inspect()

    visitor.sign_in()
    visitor.page.get_by_role("button", name="Sign out").click()

    expect(visitor.heading).to_have_text("Sign in")
    visitor.go("/operations")
    expect(visitor.heading).to_have_text("Sign in")


def test_forms_are_accepted_where_browsers_do_not_report_the_site(
    browser: Browser, open_console: OpenConsole, service: Service
) -> None:
    """Browsers send `Sec-Fetch-Site` over https and on loopback alone."""
    key = open_console(signs_in=False).key
    arguments = ["--no-sandbox", "--host-resolver-rules=MAP console.example 127.0.0.1"]
    plain = browser.browser_type.launch(executable_path=need_program("chromium"), args=arguments)
    url = service.installation.url.replace(LOOPBACK, "console.example")
    visitor = Visitor(plain.new_page(base_url=url), key, key_id="")
    with visitor.page.expect_request(lambda request: request.method == "POST") as sent:
        visitor.sign_in()
    headers = sent.value.all_headers()
    plain.close()
    assert ("sec-fetch-site" in headers, headers["origin"]) == (False, url)


def test_a_wrong_key_is_refused_in_words(open_console: OpenConsole) -> None:
    visitor = open_console(signs_in=False)
    visitor.go("/sign-in")
    visitor.page.get_by_label("API key").fill("at_wrong")

    visitor.page.get_by_role("button", name="Sign in").click()

    expect(visitor.page.get_by_role("alert")).to_have_text("No such key, or it has expired or was revoked")
    visitor.inspect()


def test_signing_in_leads_back_to_the_page_that_was_wanted(open_console: OpenConsole) -> None:
    visitor = open_console(signs_in=False)
    visitor.go("/operations?status=failed")
    visitor.page.get_by_label("API key").fill(visitor.key)

    visitor.page.get_by_role("button", name="Sign in").click()

    expect(visitor.heading).to_have_text("Operations")
    assert visitor.page.url.endswith("/console/operations?status=failed")


def test_revoking_the_key_ends_the_session(open_console: OpenConsole, api: httpx.Client) -> None:
    visitor = open_console()
    visitor.go("/overview")
    expect(visitor.page.get_by_text("Live", exact=True)).to_be_visible()

    assert api.delete(f"/api-keys/{visitor.key_id}").is_success

    expect(visitor.page.get_by_text("Your session has ended.")).to_be_visible()
    visitor.page.get_by_role("link", name="Sign in").click()
    expect(visitor.heading).to_have_text("Sign in")


def test_a_link_signs_in_once_without_a_script(open_console: OpenConsole, service: Service) -> None:
    visitor = open_console(signs_in=False, java_script_enabled=False)
    visitor.page.goto(service.installation.console)
    visitor.page.get_by_role("button", name="Sign in").click()
    expect(visitor.page.get_by_role("button", name="Sign out")).to_be_visible()

    another = open_console(signs_in=False)
    another.page.goto(service.installation.console)
    another.inspect()
    another.page.get_by_role("button", name="Sign in").click()

    expect(another.page.get_by_role("alert")).to_have_text("The link was used before, or it has expired")
    another.inspect()


def test_a_key_without_a_page_shows_which_scopes_are_missing(open_console: OpenConsole) -> None:
    visitor = open_console(frozenset({Scope.PAYLOADS_DECODE}))
    expect(visitor.heading).to_have_text("No page is open to you")
    expect(visitor.page.get_by_role("row", name="Operations")).to_contain_text("tenants:read")
    visitor.inspect()
    visitor.go("/operations")
    expect(visitor.page.get_by_text("Missing required scope: tenants:read")).to_be_visible()
    visitor.inspect()
