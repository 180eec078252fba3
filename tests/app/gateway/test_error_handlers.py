"""Problems of requests that no route handles, and of crashes."""

import logging

import httpx
import pytest
import structlog
from fastapi import FastAPI

from app.settings import Settings
from tests.app.gateway.http.server.test_security_headers import assert_safe
from tests.app.gateway.requests import assert_problem
from tests.app.gateway.server import RunningGateway

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/", "/nothing", "/tenants/", "/tenants/a/b/c", "/%00"])
async def test_an_unknown_path_is_a_problem(http: httpx.AsyncClient, path: str) -> None:
    assert_problem(await http.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/tenants", "PUT", {"GET", "POST"}),
        ("/tenants/x", "POST", {"GET", "DELETE"}),
        ("/operations/x", "POST", {"GET", "PATCH", "DELETE"}),
        ("/tenants/x/status", "DELETE", {"GET"}),
        ("/readyz", "POST", {"GET"}),
        ("/tenants", "TRACE", {"GET", "POST"}),
    ],
)
async def test_an_unknown_method_is_a_405_with_all_allowed_methods(
    http: httpx.AsyncClient, path: str, method: str, allowed: set[str]
) -> None:
    response = await http.request(method, path)
    assert_problem(response, 405, "method-not-allowed")
    assert set(response.headers["allow"].split(", ")) == allowed


async def test_a_crash_is_logged_shows_only_the_request_id_and_is_safe_in_a_browser(
    settings: Settings, api_key: str, caplog: pytest.LogCaptureFixture
) -> None:
    def add_crash(app: FastAPI) -> None:
        @app.get("/crash")
        async def crash() -> None:
            raise RuntimeError("something secret")

    with (
        caplog.at_level(logging.ERROR),
        structlog.testing.capture_logs() as lines,
        RunningGateway(settings, api_key, add_crash) as gateway,
    ):
        async with gateway.client() as http:
            response = await http.get("/crash")
            assert (await http.get("/livez")).status_code == 200
    assert [line["path"] for line in lines if line["event"] == "request crashed"] == ["/crash"]
    assert_safe(response)
    assert_problem(response, 500, "internal-error")
    assert "secret" not in response.text
    assert "RuntimeError" not in response.text
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == [], "uvicorn logs nothing"
