"""People who sign in at an OpenID provider."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from pydantic import SecretStr

from app.auth.oidc import sign_in
from app.auth.scopes import Scope
from app.embedded.processes.ports import LOOPBACK, free_port
from app.settings import Settings
from tests.app.gateway.server import RunningGateway
from tests.browser.visitor import PATIENCE_MILLISECONDS, Visitor
from tests.e2e.conftest import SECRET, Service, request
from tests.support.servers.identity_provider import IdentityProvider
from tests.support.servers.openid import AUDIENCE
from tests.support.servers.processes import wait_for

CLIENT_SECRET = "the client's + secret: 100 %"
TENANT = str(uuid4())
PEOPLE: dict[str, dict[str, Any]] = {
    "ada@alga.example": {"claims": {"roles": sorted(Scope)}},
    "reader": {"claims": {"roles": ["tenants:read"]}},
    "bound": {"claims": {"roles": ["tenants:read"], "tenant_id": TENANT}},
    "guest": {"claims": {}},
    "brief": {"claims": {"roles": ["tenants:read"]}, "seconds": 15},
}

OpenWindow = Callable[[], Visitor]


@pytest.fixture(scope="module")
def public_url() -> str:
    return f"http://{LOOPBACK}:{free_port()}"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory, public_url: str) -> Iterator[IdentityProvider]:
    redirect_uri = f"{public_url}/console/sign-in/callback"
    with IdentityProvider(tmp_path_factory.mktemp("provider"), redirect_uri, CLIENT_SECRET, PEOPLE) as provider:
        yield provider


@pytest.fixture(scope="module")
def gateway(service: Service, provider: IdentityProvider, public_url: str) -> Iterator[RunningGateway]:
    settings = Settings(
        environment="development",
        database_url=SecretStr(service.installation.database_url),
        admin_database_url=SecretStr(service.installation.admin_database_url),
        temporal_address=service.installation.temporal_address,
        temporal_task_queue=service.task_queue,
        nextauth_secret=SecretStr(SECRET),
        gateway_host=LOOPBACK,
        gateway_port=int(public_url.rpartition(":")[2]),
        oidc_issuer=provider.issuer,
        oidc_audience=AUDIENCE,
        oidc_client_id="console",
        oidc_client_secret=SecretStr(CLIENT_SECRET),
        public_url=public_url,
    )
    with RunningGateway(settings, service.installation.api_key) as gateway:
        yield gateway


@pytest.fixture
def open_window(browser: Browser, gateway: RunningGateway, public_url: str) -> Iterator[OpenWindow]:
    """Return a function that opens the console of the gateway that knows the provider."""
    contexts = []

    def open_window() -> Visitor:
        contexts.append(browser.new_context(base_url=public_url))
        contexts[-1].set_default_timeout(PATIENCE_MILLISECONDS)
        return Visitor(contexts[-1].new_page(), key=gateway.api_key, key_id="")

    yield open_window
    for context in contexts:
        context.close()


def log_in(page: Page, login: str) -> None:
    """Sign in at the provider, and let it pass that on."""
    page.get_by_role("link", name="Sign in with").click()
    page.get_by_placeholder("Enter any login").fill(login)
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def test_a_person_signs_in_at_the_provider_and_returns_to_the_wanted_page(
    open_window: OpenWindow, api: httpx.Client, provider: IdentityProvider
) -> None:
    visitor = open_window()
    visitor.go("/operations?status=failed")
    expect(visitor.page.get_by_role("link", name=f"Sign in with {LOOPBACK}:{provider.port}")).to_be_visible()
    visitor.inspect()

    log_in(visitor.page, "ada@alga.example")

    expect(visitor.heading).to_have_text("Operations")
    assert visitor.page.url.endswith("/console/operations?status=failed")
    expect(visitor.page.get_by_text("ada@alga.example")).to_be_visible()
    cookies = {cookie["name"] for cookie in visitor.page.context.cookies() if cookie["domain"] == LOOPBACK}
    assert "alga-tenants-sign-in" not in cookies

    def is_recorded() -> bool:
        events = api.get("/audit-events", params={"action": "session.open"}).json()["events"]
        return any(event["caller"].endswith(":ada@alga.example") for event in events)

    wait_for(is_recorded, timeout=60)


def test_a_session_can_do_what_the_token_allows_and_sees_its_tenant_alone(
    open_window: OpenWindow, api: httpx.Client
) -> None:
    created = api.post("/tenants", json=request(tenantName="Of everyone"), headers={"Prefer": "wait=50"})
    assert created.status_code == 201, created.text
    for login, rows in (("reader", 1), ("bound", 0)):
        visitor = open_window()
        visitor.go()
        log_in(visitor.page, login)
        visitor.go(f"/operations?name={created.json()['tenantName']}")
        expect(visitor.heading).to_have_text("Operations")
        expect(visitor.page.get_by_role("row", name="Of everyone")).to_have_count(rows)
        visitor.go(f"/operations/{created.json()['workflowId']}")
        expect(visitor.page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_a_person_without_a_role_learns_which_scopes_are_missing(open_window: OpenWindow) -> None:
    visitor = open_window()
    visitor.go()

    log_in(visitor.page, "guest")

    expect(visitor.heading).to_have_text("No page is open to you")


def test_the_page_says_so_if_the_provider_does_not_let_the_person_in(open_window: OpenWindow) -> None:
    visitor = open_window()
    visitor.go()
    visitor.page.get_by_role("link", name="Sign in with").click()

    visitor.page.get_by_role("link", name="Cancel").click()

    expect(visitor.page.get_by_role("alert")).to_have_text(
        "The provider did not let you sign in, or you have cancelled it"
    )
    visitor.inspect()


def test_the_session_ends_with_the_token(open_window: OpenWindow) -> None:
    visitor = open_window()
    visitor.go()
    log_in(visitor.page, "brief")
    expect(visitor.page.get_by_role("button", name="Sign out")).to_be_visible()

    def is_signed_out() -> bool:
        visitor.go("/operations")
        return visitor.heading.text_content() == "Sign in"

    wait_for(is_signed_out, timeout=60)


def test_a_provider_that_is_down_is_named_and_keys_still_work(
    open_window: OpenWindow, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in, "FRESH_SECONDS", 0)
    visitor = open_window()
    visitor.go()
    provider.stop()
    try:
        visitor.page.get_by_role("link", name="Sign in with").click()
        expect(visitor.page.get_by_role("alert")).to_contain_text("identity provider is unavailable")
        visitor.page.get_by_label("API key").fill(visitor.key)
        visitor.page.get_by_role("button", name="Sign in", exact=True).click()
        expect(visitor.page.get_by_role("button", name="Sign out")).to_be_visible()
    finally:
        provider.start()
