"""Bodies that are slow to process, and invalid Unicode."""

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from app.gateway.http.body_limits import MAX_VALUES
from tests.app.gateway.requests import assert_problem, faults, tenant, tenant_with_admin
from tests.app.gateway.server import PATIENCE, RunningGateway

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
SURROGATE = "\ud800"
PATHS = ["/tenants", "/api-keys", "/codec/decode"]
MEBIBYTE = 2**20
# Seconds. The attacks took much longer, and a slow machine needs much less.
MAX_STALL = 1.5


def unknown_fields(size: int) -> bytes:
    fields = {f"f{place}": 1 for place in range(size // 10)}
    return json.dumps({**tenant(), **fields}).encode()[:size]


def many_scopes(size: int) -> bytes:
    return json.dumps({"name": "x", "scopes": ["nonsense"] * (size // 13)}).encode()


def many_payloads(size: int) -> bytes:
    return json.dumps({"payloads": [{}] * (size // 4)}).encode()


def large_payload(size: int) -> bytes:
    data = base64.b64encode(b"x" * (size * 3 // 4 - 100)).decode()
    return json.dumps({"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": data}]}).encode()


def longest_stall(gateway: RunningGateway, done: threading.Event) -> float:
    """Return the longest delay of the gateway's event loop until `done`, in seconds."""
    longest = 0.0
    while not done.is_set():
        called = threading.Event()
        started = time.monotonic()
        gateway.call_soon(called.set)
        assert called.wait(PATIENCE)
        longest = max(longest, time.monotonic() - started)
    return longest


# Only the codec takes bodies of 2 MiB, and refuses their values.
@pytest.mark.parametrize(
    ("path", "size"),
    [*((path, 250_000) for path in PATHS), ("/tenants", 2 * MEBIBYTE), ("/codec/decode", 2 * MEBIBYTE)],
)
@pytest.mark.parametrize("build", [unknown_fields, many_scopes, many_payloads])
async def test_no_body_stalls_the_loop(gateway: RunningGateway, path: str, build: Any, size: int) -> None:
    body = build(size)
    done = threading.Event()
    with ThreadPoolExecutor(1) as watch:
        stall = watch.submit(longest_stall, gateway, done)
        try:
            async with gateway.client() as http:
                response = await http.post(path, content=body, headers=JSON)
                assert 400 <= response.status_code < 500, response.text
        finally:
            done.set()
    assert stall.result() < MAX_STALL


async def test_the_limit_of_values_is_in_the_problem(http: httpx.AsyncClient) -> None:
    response = await http.post("/tenants", content=unknown_fields(100_000), headers=JSON)
    assert_problem(response, 400, "json-too-long")
    assert str(MAX_VALUES) in response.json()["detail"]


async def test_values_are_counted_outside_strings(http: httpx.AsyncClient) -> None:
    response = await http.post("/tenants", json=tenant(tenantName=",[{" * 10_000))
    assert_problem(response, 422, "invalid-request")
    assert list(faults(response)) == ["tenantName"]


async def test_a_body_of_two_mebibytes_is_too_large(http: httpx.AsyncClient) -> None:
    response = await http.post("/tenants", json=tenant(tenantName="x" * 2 * MEBIBYTE))
    assert_problem(response, 413, "body-too-large")


async def test_payloads_of_temporals_largest_size_are_decoded(http: httpx.AsyncClient) -> None:
    body = large_payload(round(2.7 * MEBIBYTE))
    response = await http.post("/codec/decode", content=body, headers=JSON)
    assert response.status_code == 200
    assert response.json() == json.loads(body)


async def test_the_number_of_payloads_is_bounded(http: httpx.AsyncClient) -> None:
    assert (await http.post("/codec/decode", json={"payloads": [{}] * 1000})).status_code == 200
    response = await http.post("/codec/decode", json={"payloads": [{}] * 1001})
    assert_problem(response, 422, "invalid-request")
    assert list(faults(response)) == ["payloads"]


async def test_a_large_body_is_not_read_before_the_caller_is_known(gateway: RunningGateway) -> None:
    async with gateway.client(**{"X-API-Key": "none"}) as http:
        response = await http.post("/codec/decode", content=large_payload(2 * MEBIBYTE), headers=JSON)
        assert_problem(response, 401, "unauthorized")


@pytest.mark.parametrize(
    ("path", "document", "field"),
    [
        ("/codec/decode", {"payloads": [{"metadata": {SURROGATE: "YQ=="}}]}, "payloads.0.metadata.\ufffd"),
        ("/codec/decode", {"payloads": [{"metadata": {"encoding": SURROGATE}}]}, "payloads.0.metadata.encoding"),
        ("/codec/decode", {"payloads": [{"data": SURROGATE}]}, "payloads.0.data"),
        ("/codec/decode", {SURROGATE: [], "payloads": []}, "\ufffd"),
        ("/codec/decode", SURROGATE, "body"),
        ("/tenants", {**tenant(), "tenantName": f"a{SURROGATE}b"}, "tenantName"),
        ("/tenants", {**tenant(), SURROGATE: 1}, "\ufffd"),
        ("/tenants", {**tenant(), "productCode": SURROGATE}, "productCode"),
        ("/tenants", tenant_with_admin(email=f"{SURROGATE}@acme.example"), "adminUser.email"),
        ("/tenants", tenant_with_admin(password=SURROGATE * 10), "adminUser.password"),
        ("/tenants", {**tenant(), "tenantId": SURROGATE}, "tenantId"),
        ("/api-keys", {"name": SURROGATE}, "name"),
        ("/api-keys", {"name": "x", "scopes": [SURROGATE]}, "scopes.0"),
        ("/api-keys", {"name": "x", "tenantId": SURROGATE}, "tenantId"),
    ],
)
@pytest.mark.parametrize("is_escaped", [True, False])
async def test_half_a_surrogate_pair_is_an_error_of_its_field(
    http: httpx.AsyncClient, path: str, document: object, field: str, *, is_escaped: bool
) -> None:
    if is_escaped:
        response = await http.post(path, content=json.dumps(document).encode(), headers=JSON)
        assert_problem(response, 422, "invalid-request")
        assert list(faults(response)) == [field]
    else:
        content = json.dumps(document, ensure_ascii=False).encode(errors="surrogatepass")
        assert_problem(await http.post(path, content=content, headers=JSON), 400, "malformed-json")


async def test_a_whole_pair_is_a_character(http: httpx.AsyncClient) -> None:
    content = json.dumps(tenant(tenantName="Acme \U0001f600")).encode()
    assert b"\\ud83d" in content
    assert (await http.post("/tenants", content=content, headers=JSON)).status_code == 202


@pytest.mark.parametrize(
    "path",
    [
        "/tenants/%ED%A0%80/status",
        "/operations/%ED%A0%80",
        "/operations/%ED%A0%80/events",
        "/tenants/%ff%fe",
        "/operations?name=%ED%A0%80&status=%ED%A0%80",
        "/operations?pageToken=%ED%A0%80",
        "/tenants?search=%ED%A0%80",
        "/api-keys/%ED%A0%80",
        "/audit-events?action=%ED%A0%80&caller=%ED%A0%80",
        "/docs/assets/%ED%A0%80",
        "/%ED%A0%80",
    ],
)
async def test_no_path_is_a_crash(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(path)
    assert response.status_code < 500, response.text


@pytest.mark.parametrize(
    "name",
    [
        "X-On-Behalf-Of", "Idempotency-Key", "Prefer", "If-None-Match", "Last-Event-ID", "X-Request-ID",
        "X-API-Key", "Authorization", "Content-Type", "traceparent", "X-Forwarded-For", "X-Forwarded-Proto", "Host",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", [b"\xed\xa0\x80", b"\xff", b"\\ud800"])
async def test_no_header_is_a_crash(http: httpx.AsyncClient, name: str, value: bytes) -> None:
    raw = [(name.encode(), value)]
    for method, path in (("POST", "/tenants"), ("POST", "/codec/decode"), ("GET", "/operations/none/events")):
        response = await http.request(method, path, headers=raw, content=b"{}")
        assert response.status_code < 500, response.text
