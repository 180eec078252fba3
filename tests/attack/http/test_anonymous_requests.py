"""Limits of requests without a credential."""

import asyncio
import json
from collections.abc import Iterator

import httpx
import pytest

from app.gateway.documentation.application import DocumentedApp
from app.settings import Settings
from tests.app.gateway.raw import connected
from tests.app.gateway.requests import assert_problem
from tests.app.gateway.server import RunningGateway

pytestmark = pytest.mark.anyio

ANONYMOUS = ["/openapi.json", "/docs", "/docs/assets/favicon.png", "/docs/assets/nothing", "/nothing"]
NEVER_LIMITED = ["/livez", "/readyz", "/startupz", "/metrics"]


@pytest.fixture(scope="module")
def few(settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    """A gateway that takes three anonymous requests of each address."""
    limits = {"rate_limit_anonymous_per_minute": 1, "rate_limit_anonymous_burst": 3}
    with RunningGateway(settings.model_copy(update=limits), api_key) as gateway:
        yield gateway


@pytest.mark.parametrize("path", ANONYMOUS)
async def test_requests_without_a_credential_are_limited_by_address(few: RunningGateway, path: str) -> None:
    async with few.client() as http:
        http.headers["X-Forwarded-For"] = f"192.0.2.{ANONYMOUS.index(path)}"
        for _ in range(3):
            assert (await http.get(path)).status_code in {200, 404}
        # A rejection takes a second.
        again = [http.get(path), http.get("/openapi.json"), http.get("/nothing"), http.delete("/livez")]
        for response in await asyncio.gather(*again):
            assert_problem(response, 429, "rate-limited")
            assert response.headers["connection"] == "close"
            assert '"anonymous"' in response.headers["ratelimit-policy"]
            assert int(response.headers["retry-after"]) > 0
        for free in NEVER_LIMITED:
            assert (await http.get(free)).status_code == 200
        assert (await http.get("/operations")).status_code == 200
        assert_problem(await http.get("/tenants/unknown/status"), 404, "operation-not-found")


def test_requests_after_a_rejected_one_are_not_served(few: RunningGateway) -> None:
    with connected(few) as connection:
        connection.send(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 8)
        received = connection.rest()
    assert received.count(b"HTTP/1.1 200") == 3
    assert received.count(b"HTTP/1.1 429") == 1
    assert received.count(b"HTTP/1.1 ") == 4


async def test_the_limit_can_be_disabled(settings: Settings, api_key: str) -> None:
    limits = {"rate_limit_anonymous_per_minute": 0, "rate_limit_anonymous_burst": 1}
    with RunningGateway(settings.model_copy(update=limits), api_key) as gateway:
        async with gateway.client() as http:
            assert [(await http.get("/docs")).status_code for _ in range(10)] == [200] * 10


async def test_the_openapi_document_is_built_once(
    gateway: RunningGateway, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await http.get("/openapi.json")
    assert first.headers["content-type"] == "application/json"
    assert first.json() == json.loads(json.dumps(gateway.app.openapi()))

    def rebuild(_app: DocumentedApp) -> dict[str, object]:
        raise AssertionError("built again")

    monkeypatch.setattr(DocumentedApp, "openapi", rebuild)
    again = await http.get("/openapi.json")
    assert again.content == first.content
    known = await http.get("/openapi.json", headers={"If-None-Match": first.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
