"""What holds for every route of the console, found by walking over all of them."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from app.auth.scopes import Scope
from app.gateway.console.console_route import ConsoleRoute, KindConsoleRoute
from app.settings import Settings
from tests.app.gateway.conftest import SECRET
from tests.app.gateway.console.walking import ANOTHER_SITE, OURS, console_routes, pages, session, visit
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import EVERYTHING, Keys

pytestmark = pytest.mark.anyio

# Everything else requires a session.
OPEN = {
    ("GET", "/console"),
    ("GET", "/console/assets/{version}/{name}"),
    ("GET", "/console/sign-in"),
    ("POST", "/console/sign-in"),
    ("POST", "/console/sign-in/link"),
    ("GET", "/console/sign-in/provider"),
    ("GET", "/console/sign-in/callback"),
    ("POST", "/console/sign-out"),
}


@pytest.fixture(scope="module")
def unlimited(settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    limits = {"rate_limit_anonymous_per_minute": 0, "rate_limit_failed_per_minute": 0}
    with RunningGateway(settings.model_copy(update=limits), api_key) as gateway:
        yield gateway


@pytest.fixture
async def browser(unlimited: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with unlimited.client(Accept="text/html") as client:
        yield client


def test_every_route_but_the_sign_in_and_the_files_requires_a_session() -> None:
    found = console_routes()
    opened = {(method, route.path) for method, _, route in found if not isinstance(route, ConsoleRoute)}
    assert opened == OPEN
    assert all(path.partition("/console")[0] == "" for _, path, _ in found)


async def test_without_a_session_every_page_leads_to_the_sign_in_and_back(browser: httpx.AsyncClient) -> None:
    for method, path, _ in pages():
        for cookie in (None, "", "made-up"):
            response = await visit(browser, method, path, cookie)
            back = f"?next={path.removeprefix('/console')}" if method == "GET" else ""
            assert (response.status_code, response.headers["location"]) == (303, f"/console/sign-in{back}"), path


async def test_a_session_without_the_scope_gets_a_page_that_names_it(browser: httpx.AsyncClient, keys: Keys) -> None:
    for method, path, route in pages():
        lacking = [route.scopes] if isinstance(route, KindConsoleRoute) else [{scope} for scope in route.scopes]
        for missing in lacking:
            cookie = session(SECRET, keys.api_keys, EVERYTHING - missing)
            response = await visit(browser, method, path, cookie)
            assert response.status_code == 403, (method, path)
            assert response.headers["content-type"].startswith("text/html"), path
            assert any(f"Missing required scope: {scope}" in response.text for scope in missing), path


async def test_no_form_of_another_site_is_accepted(browser: httpx.AsyncClient, keys: Keys) -> None:
    everything = session(SECRET, keys.api_keys, Scope)
    posts = [(path, route) for method, path, route in console_routes() if method != "GET"]
    assert len(posts) >= 4
    attacks = [
        ANOTHER_SITE,
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "", "Origin": "https://elsewhere.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": str(browser.base_url).rstrip("/")},
    ]
    for path, _ in posts:
        for headers in attacks:
            response = await visit(browser, "POST", path, everything, **headers)
            assert response.status_code == 403, (path, headers)
            assert "was not sent from this console" in response.text, (path, headers)


async def test_a_form_without_the_headers_of_a_browser_is_refused_unless_its_origin_is_ours(
    browser: httpx.AsyncClient,
) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for origin, status in (
        (None, 403),
        ("null", 403),
        (f"http://{browser.base_url.host}", 403),
        (f"http://{browser.base_url.netloc.decode()}.example", 403),
        (f"http://{browser.base_url.netloc.decode()}", 303),
    ):
        headers = {**form, **({"Origin": origin} if origin is not None else {})}
        response = await browser.post("/console/sign-out", headers=headers)
        assert response.status_code == status, origin


async def test_no_page_may_run_or_load_anything_foreign_or_be_framed(browser: httpx.AsyncClient, keys: Keys) -> None:
    everything = session(SECRET, keys.api_keys, Scope)
    for method, path, _ in pages():
        if method != "GET" or "live" in path.split("/"):
            continue
        response = await visit(browser, method, path, everything, **OURS)
        assert response.status_code < 500, path
        if not response.headers.get("content-type", "").startswith("text/html"):
            continue
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'"), path
        assert "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert response.headers["cache-control"] == "no-store", path
