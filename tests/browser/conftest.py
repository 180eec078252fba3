"""The console in Chromium, on an installation with real servers and all of Alga's tables.

These tests are synchronous: Playwright runs its own event loop. `make test-browser` runs them.
"""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.temporal import EmbeddedTemporal
from tests.browser.visitor import Visitor
from tests.browser.windows import Windows
from tests.e2e.conftest import PATIENCE, Service, installed
from tests.e2e.mail.conftest import settings_for
from tests.support.servers.databases import NewDatabase
from tests.support.servers.mail import MailServer
from tests.support.servers.program import need_program

OpenConsole = Callable[..., Visitor]


@pytest.fixture(scope="package")
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture(scope="package")
def service(  # noqa: PLR0917 - fixtures
    new_database: NewDatabase,
    alga_plain_template: str,
    postgres: EmbeddedPostgres,
    temporal: EmbeddedTemporal,
    mail_server: MailServer,
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
        WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8",
        **settings_for(mail_server),
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


@pytest.fixture(scope="package")
def windows(service: Service, api: httpx.Client, browser: Browser) -> Iterator[Windows]:
    """Opens windows that stay until the last test; their test calls `check`."""
    windows = Windows(service.installation.url, api, browser)
    yield windows
    windows.close()


@pytest.fixture
def open_console(service: Service, api: httpx.Client, browser: Browser) -> Iterator[OpenConsole]:
    """Return a function that opens the console with a new key of the given scopes, signed in, in a window of its own.

    After the test, no window may have seen a fault (`Windows`). `url` is that of another gateway. Further keyword
    arguments, such as `color_scheme` and `viewport`, are those of Playwright's contexts.
    """
    windows = Windows(service.installation.url, api, browser)
    yield windows.open
    windows.close()
