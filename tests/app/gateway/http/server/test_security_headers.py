"""Headers of every response for browsers and caches."""

import subprocess
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests.app.gateway.requests import tenant
from tests.app.gateway.server import RunningGateway
from tests.support.servers.program import need_program

pytestmark = pytest.mark.anyio

ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
WRONG = {"Authorization": "Bearer nonsense"}


def assert_safe(response: httpx.Response) -> None:
    assert {name: response.headers.get(name) for name in ALWAYS} == ALWAYS
    assert response.headers["content-security-policy"] == DATA_POLICY
    assert "strict-transport-security" not in response.headers, "the request came over plain HTTP"
    assert "server" not in response.headers
    assert "x-powered-by" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/livez", {}, 200),
        ("GET", "/readyz", {}, 200),
        ("GET", "/nothing", {}, 404),
        ("PUT", "/tenants", {}, 405),
        ("GET", "/tenants", {}, 200),
        ("GET", "/tenants", WRONG, 401),
        ("POST", "/tenants", {}, 422),
        ("GET", "/openapi.json", {}, 200),
        ("GET", "/docs/assets/swagger-ui.css", {}, 200),
        ("GET", "/docs/assets/nothing", {}, 404),
    ],
)
async def test_every_response_is_safe_in_a_browser(
    http: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    response = await http.request(method, path, headers=headers)
    assert response.status_code == status
    assert_safe(response)


async def test_personal_data_is_not_cached(http: httpx.AsyncClient) -> None:
    made = await http.post("/tenants", json=tenant())
    shown = await http.get(made.json()["links"]["self"])
    unchanged = await http.get(made.json()["links"]["self"], headers={"If-None-Match": shown.headers["etag"]})
    assert [response.status_code for response in (made, shown, unchanged)] == [202, 200, 304]
    for response in (made, shown, unchanged):
        assert_safe(response)


@pytest.mark.parametrize("path", ["/livez", "/nothing", "/tenants"])
async def test_https_is_enforced_if_a_trusted_proxy_reports_it(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(path, headers={"X-Forwarded-Proto": "https"})
    assert response.headers["strict-transport-security"] == "max-age=63072000"


async def test_an_untrusted_proxy_cannot_report_https(settings: Settings, api_key: str) -> None:
    with RunningGateway(settings.model_copy(update={"forwarded_allow_ips": "192.0.2.1"}), api_key) as gateway:
        async with gateway.client() as http:
            response = await http.get("/livez", headers={"X-Forwarded-Proto": "https"})
    assert "strict-transport-security" not in response.headers


async def test_the_documentation_page_may_run_its_own_scripts_only(http: httpx.AsyncClient) -> None:
    policy = (await http.get("/docs")).headers["content-security-policy"]
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"].startswith("'self' 'sha256-")
    assert "unsafe" not in directives["script-src"]
    assert directives["frame-ancestors"] == "'none'"
    assert not [source for source in policy.split() if "://" in source or source == "*"]


def test_the_documentation_page_works_in_a_browser(gateway: RunningGateway, tmp_path: Path) -> None:
    browser = need_program("chromium")
    page = subprocess.run(  # noqa: S603 - our own page in an installed browser
        [
            browser,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path}",
            "--virtual-time-budget=20000",
            "--enable-logging=stderr",
            "--dump-dom",
            f"{gateway.url}/docs",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "/operations/{id}" in page.stdout.replace("\u200b", "").replace("<wbr>", "")
    assert "Content Security Policy" not in page.stderr
