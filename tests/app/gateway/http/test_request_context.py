"""Request ids and headers of every response."""

import httpx
import pytest

from tests.app.gateway.requests import tenant

pytestmark = pytest.mark.anyio


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


async def test_responses_do_not_name_the_server_software(http: httpx.AsyncClient) -> None:
    assert "server" not in (await http.get("/livez")).headers
