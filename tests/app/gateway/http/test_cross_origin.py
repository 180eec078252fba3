"""Cross-origin requests."""

from collections.abc import Iterator

import httpx
import pytest

from app.settings import Settings, SettingsError
from tests.app.gateway.requests import assert_problem
from tests.app.gateway.server import RunningGateway

pytestmark = pytest.mark.anyio

ORIGIN = "https://admin.example.com"
OTHER = "https://evil.example.com"
HEADERS = (
    "Authorization",
    "X-API-Key",
    "Idempotency-Key",
    "Prefer",
    "If-None-Match",
    "Last-Event-ID",
    "traceparent",
    "tracestate",
    "X-On-Behalf-Of",
    "X-Namespace",
    "Content-Type",
)


@pytest.fixture(scope="module")
def open_gateway(settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    """A gateway that two origins may call."""
    origins = {"cors_origins": f"{ORIGIN}, http://localhost:3000", "max_concurrent_requests": 1}
    with RunningGateway(settings.model_copy(update=origins), api_key) as server:
        yield server


def preflight(origin: str = ORIGIN, method: str = "POST", headers: str = ", ".join(HEADERS)) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }


async def test_cross_origin_requests_are_rejected_by_default(http: httpx.AsyncClient) -> None:
    rejected = await http.options("/tenants", headers=preflight())
    assert_problem(rejected, 405, "method-not-allowed")
    for response in (rejected, await http.get("/tenants", headers={"Origin": ORIGIN})):
        assert not [name for name in response.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("origin", [ORIGIN, "http://localhost:3000"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_listed_origin_may_send_every_method_and_header_of_the_gateway(
    open_gateway: RunningGateway, origin: str, method: str
) -> None:
    async with open_gateway.client() as http:
        response = await http.options("/tenants", headers=preflight(origin, method))
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == origin
    assert method in response.headers["access-control-allow-methods"].split(", ")
    allowed = {name.lower() for name in response.headers["access-control-allow-headers"].split(", ")}
    assert allowed >= {name.lower() for name in HEADERS}
    assert "access-control-allow-credentials" not in response.headers
    assert "origin" in response.headers["vary"].lower()


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        (preflight(origin=OTHER), "origin"),
        (preflight(origin=f"{ORIGIN}.evil.example"), "origin"),
        (preflight(origin="null"), "origin"),
        (preflight(origin="http://admin.example.com"), "origin"),
        (preflight(method="TRACE"), "method"),
        (preflight(headers="X-Anything"), "headers"),
    ],
)
async def test_a_rejected_preflight_is_a_problem_document(
    open_gateway: RunningGateway, headers: dict[str, str], named: str
) -> None:
    async with open_gateway.client() as http:
        response = await http.options("/tenants", headers=headers)
    assert_problem(response, 400, "cors-refused")
    assert named in response.json()["detail"]
    assert "access-control-allow-origin" not in response.headers


async def test_a_listed_origin_may_read_the_response_and_its_headers(open_gateway: RunningGateway) -> None:
    async with open_gateway.client() as http:
        for path in ("/tenants", "/nothing"):
            response = await http.get(path, headers={"Origin": ORIGIN})
            assert response.headers["access-control-allow-origin"] == ORIGIN
            exposed = {name.strip().lower() for name in response.headers["access-control-expose-headers"].split(",")}
            assert exposed >= {
                "etag",
                "location",
                "retry-after",
                "x-request-id",
                "ratelimit",
                "ratelimit-policy",
                "www-authenticate",
            }
        response = await http.get("/tenants", headers={"Origin": OTHER})
        assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("*", "must name each origin"),
        (f"{ORIGIN},*", "must name each origin"),
        ("admin.example.com", "must be origins"),
        (f"{ORIGIN}/", "must be origins"),
        (f"{ORIGIN}/page", "must be origins"),
        ("https://*.example.com", "must be origins"),
        ("null", "must be origins"),
    ],
)
def test_origins_with_wildcards_are_rejected(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    for name in ("database_url", "admin_database_url", "nextauth_secret"):
        monkeypatch.setenv(name.upper(), getattr(settings, name).get_secret_value())
    monkeypatch.setenv("CORS_ORIGINS", value)
    with pytest.raises(SettingsError, match=f"^CORS_ORIGINS: {message}"):
        Settings.load()


@pytest.mark.parametrize("value", ["*", "proxy.example.com", "10.0.0.1/8", "10.0.0.0/8,x"])
def test_proxies_are_trusted_by_address_only(settings: Settings, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for name in ("database_url", "admin_database_url", "nextauth_secret"):
        monkeypatch.setenv(name.upper(), getattr(settings, name).get_secret_value())
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", value)
    with pytest.raises(SettingsError, match=r"^FORWARDED_ALLOW_IPS: must be IP addresses"):
        Settings.load()
