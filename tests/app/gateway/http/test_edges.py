"""What every answer has, and what is answered where no route is at work."""

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
async def test_another_method_is_a_405_that_names_all_that_are_allowed(
    http: httpx.AsyncClient, path: str, method: str, allowed: set[str]
) -> None:
    answer = await http.request(method, path)
    assert_problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed


async def test_a_request_id_is_taken_over(http: httpx.AsyncClient) -> None:
    answer = await http.get("/operations/unknown", headers={"X-Request-ID": "trace-1.2_3"})
    assert answer.headers["x-request-id"] == "trace-1.2_3"
    assert answer.json()["requestId"] == "trace-1.2_3"


@pytest.mark.parametrize("bad", ["", "with space", "x" * 129, "semi;colon", '"quoted"'])
async def test_a_request_id_of_another_form_is_replaced(http: httpx.AsyncClient, bad: str) -> None:
    answer = await http.get("/livez", headers={"X-Request-ID": bad})
    assert answer.headers["x-request-id"] not in {"", bad}


async def test_what_carries_tenants_data_is_not_stored(http: httpx.AsyncClient) -> None:
    for answer in (await http.post("/tenants", json=tenant()), await http.get("/tenants"), await http.get("/x")):
        assert answer.headers["cache-control"] == "no-store"


async def test_a_crash_tells_nothing_but_the_request_id(
    settings: Settings, api_key: str, caplog: pytest.LogCaptureFixture
) -> None:
    def add_crash(app: FastAPI) -> None:
        @app.get("/crash")
        async def crash() -> None:
            raise RuntimeError("something secret")

    with caplog.at_level(logging.ERROR), RunningGateway(settings, api_key, add_crash) as gateway:
        async with gateway.client() as http:
            answer = await http.get("/crash")
            assert (await http.get("/livez")).status_code == 200
    assert_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    assert "RuntimeError" not in answer.text
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == [], "nothing to add"


async def test_names_of_programs_are_not_told(http: httpx.AsyncClient) -> None:
    assert "server" not in (await http.get("/livez")).headers
