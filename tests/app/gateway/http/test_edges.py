"""Responses without a route, and headers of every response."""

import logging

import httpx
import pytest
from fastapi import FastAPI

from app.settings import Settings
from tests.app.gateway.requests import assert_problem, tenant
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


async def test_a_valid_request_id_is_used(http: httpx.AsyncClient) -> None:
    response = await http.get("/operations/unknown", headers={"X-Request-ID": "trace-1.2_3"})
    assert response.headers["x-request-id"] == "trace-1.2_3"
    assert response.json()["requestId"] == "trace-1.2_3"


@pytest.mark.parametrize("bad", ["", "with space", "x" * 129, "semi;colon", '"quoted"'])
async def test_an_invalid_request_id_is_replaced(http: httpx.AsyncClient, bad: str) -> None:
    response = await http.get("/livez", headers={"X-Request-ID": bad})
    assert response.headers["x-request-id"] not in {"", bad}


async def test_responses_with_tenant_data_are_not_cached(http: httpx.AsyncClient) -> None:
    for response in (await http.post("/tenants", json=tenant()), await http.get("/tenants"), await http.get("/x")):
        assert response.headers["cache-control"] == "no-store"


async def test_a_crash_shows_only_the_request_id(
    settings: Settings, api_key: str, caplog: pytest.LogCaptureFixture
) -> None:
    def add_crash(app: FastAPI) -> None:
        @app.get("/crash")
        async def crash() -> None:
            raise RuntimeError("something secret")

    with caplog.at_level(logging.ERROR), RunningGateway(settings, api_key, add_crash) as gateway:
        async with gateway.client() as http:
            response = await http.get("/crash")
            assert (await http.get("/livez")).status_code == 200
    assert_problem(response, 500, "internal-error")
    assert "secret" not in response.text
    assert "RuntimeError" not in response.text
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == [], "uvicorn logs nothing"


async def test_responses_do_not_name_the_server_software(http: httpx.AsyncClient) -> None:
    assert "server" not in (await http.get("/livez")).headers
