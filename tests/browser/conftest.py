"""The console in Chromium, on an installation with real servers and all of Alga's tables.

These tests are synchronous: Playwright runs its own event loop. `make test-browser` runs them.
"""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from app.auth.scopes import Scope
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.temporal import EmbeddedTemporal
from tests.browser.visitor import PATIENCE_MILLISECONDS, Visitor
from tests.e2e.conftest import PATIENCE, Service, installed
from tests.support.servers.databases import NewDatabase
from tests.support.servers.program import need_program

OpenConsole = Callable[..., Visitor]


@pytest.fixture(scope="package")
def service(
    new_database: NewDatabase,
    alga_plain_template: str,
    postgres: EmbeddedPostgres,
    temporal: EmbeddedTemporal,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """An installation; its `http` is not for these tests, `api` is."""
    url = new_database(alga_plain_template)
    with installed(
        tmp_path_factory.mktemp("console"),
        admin_database_url=url,
        database_url=urlsplit(postgres.url)._replace(path=urlsplit(url).path).geturl(),
        temporal_address=temporal.address,
        # One address signs in for all tests.
        RATE_LIMIT_ANONYMOUS_PER_MINUTE="0",
        RATE_LIMIT_FAILED_PER_MINUTE="0",
    ) as service:
        yield service


@pytest.fixture(scope="package")
def api(service: Service) -> Iterator[httpx.Client]:
    """The API, with a key that has all scopes."""
    headers = {"Authorization": f"Bearer {service.installation.api_key}"}
    with httpx.Client(base_url=service.installation.url, headers=headers, timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    program = need_program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_console(service: Service, api: httpx.Client, browser: Browser) -> Iterator[OpenConsole]:
    """Return a function that opens the console with a new key of the given scopes, signed in, in a window of its own.

    After the test, no window may have seen an error of a script, a violation of the page's policy, or a request to
    another host. `url` is that of another gateway. Further keyword arguments, such as `color_scheme` and `viewport`,
    are those of Playwright's contexts.
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []
    hosts = {urlsplit(service.installation.url).netloc, ""}

    def watch(page: Page) -> None:
        def note_console(message: ConsoleMessage) -> None:
            # Chromium reports each response with an error status; tests look at those themselves.
            if message.type == "error" and "Failed to load resource" not in message.text:
                faults.append(f"{page.url}: {message.text}")

        def note_request(request: Request) -> None:
            if urlsplit(request.url).netloc not in hosts:
                faults.append(f"{page.url} requests {request.url}")

        page.on("console", note_console)
        page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
        page.on("request", note_request)

    def open_window(
        scopes: frozenset[Scope] = frozenset(Scope),
        *,
        tenant_id: str | None = None,
        signs_in: bool = True,
        url: str | None = None,
        **options: object,
    ) -> Visitor:
        body = {"name": "console", "scopes": sorted(scopes), "tenantId": tenant_id}
        created = api.post("/api-keys", json=body)
        assert created.status_code == 201, created.text
        base_url = url or service.installation.url
        hosts.add(urlsplit(base_url).netloc)
        context = browser.new_context(base_url=base_url, **options)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        contexts.append(context)
        page = context.new_page()
        watch(page)
        context.on("page", watch)
        visitor = Visitor(page, created.json()["key"], created.json()["id"])
        if signs_in:
            visitor.sign_in()
        return visitor

    yield open_window
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)
