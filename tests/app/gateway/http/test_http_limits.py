"""Limits of connections, requests and all of them together."""

import asyncio
import inspect
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import anyio.lowlevel
import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http import flow_control, httptools_impl
from uvicorn.server import ServerState

from app.gateway.http.body_limits import MAX_JSON_DEPTH, MAX_VALUES, check_body
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.server.protocol import UVICORN_MINOR_VERSION
from app.settings import Settings
from tests.app.gateway.raw import assert_raw_problem, connected
from tests.app.gateway.requests import assert_problem, tenant
from tests.app.gateway.server import RunningGateway

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[4]
JSON = {"Content-Type": "application/json"}
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def strict(settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    """A gateway with short timeouts."""
    limits = {
        "max_header_bytes": 4096,
        "max_body_bytes": 10_000,
        "request_header_timeout": 0.5,
        "body_timeout": 0.5,
        "send_timeout": 0.5,
        "keep_alive_timeout": 2,
    }
    with RunningGateway(settings.model_copy(update=limits), api_key) as server:
        yield server


@pytest.fixture
def few(settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    """A gateway that allows two concurrent requests."""

    def add_wait(app: FastAPI) -> None:
        app.state.end = asyncio.Event()

        @app.get("/wait")
        async def wait() -> None:
            await app.state.end.wait()

    with RunningGateway(settings.model_copy(update={"max_concurrent_requests": 2}), api_key, add_wait) as server:
        yield server


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nbad header: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_malformed_http_gets_a_problem_and_closes_the_connection(gateway: RunningGateway, sent: bytes) -> None:
    with connected(gateway) as connection:
        connection.send(sent)
        assert_raw_problem(connection, 400, "malformed-request")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 5000 + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
        b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Endless: " + b"x" * 1_000_000,
        b"\r\n" * 100_000,
    ],
    ids=["one", "many", "path", "endless", "line-ends"],
)
def test_headers_beyond_the_limit_are_a_431(strict: RunningGateway, sent: bytes) -> None:
    with connected(strict) as connection:
        connection.send(sent)
        assert_raw_problem(connection, 431, "headers-too-large")


def test_headers_in_small_pieces_are_counted_together(strict: RunningGateway) -> None:
    with connected(strict) as connection:
        connection.send(b"GET /livez HTTP/1.1\r\nHost: a\r\n")
        for _ in range(50):
            connection.send(b"X-Piece: " + b"x" * 100 + b"\r\n")
        assert_raw_problem(connection, 431, "headers-too-large")


def test_each_request_of_a_connection_may_have_headers_up_to_the_limit(strict: RunningGateway) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 4000 + b"\r\n\r\n"
    with connected(strict) as connection:
        for _ in range(3):
            connection.send(request)
            assert connection.read_response().status == 200


def test_a_long_body_does_not_count_as_headers(gateway: RunningGateway) -> None:
    body = json.dumps({"tenantName": "x" * 100_000}).encode()
    with connected(gateway) as connection:
        connection.send(
            b"POST /tenants HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"X-API-Key: %b\r\nContent-Length: %d\r\n\r\n" % (gateway.api_key.encode(), len(body))
        )
        connection.send(body)
        assert connection.read_response().status == 422
        connection.send(LIVEZ)
        assert connection.read_response().status == 200


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Slow: "])
def test_late_headers_are_a_408(strict: RunningGateway, sent: bytes) -> None:
    with connected(strict) as connection:
        connection.send(sent)
        assert_raw_problem(connection, 408, "request-timeout")


def test_slow_headers_do_not_extend_the_deadline(strict: RunningGateway) -> None:
    started = time.monotonic()
    with connected(strict) as connection:
        connection.send(b"GET /livez HTTP/1.1\r\nHost: a\r\n")
        while not connection.has_response_within(0.1):
            connection.send(b"X: y\r\n")
        assert_raw_problem(connection, 408, "request-timeout")
    assert time.monotonic() - started < 10, "each header extended the deadline"


def test_the_next_request_of_a_connection_has_the_same_deadline(strict: RunningGateway) -> None:
    with connected(strict) as connection:
        connection.send(LIVEZ)
        assert connection.read_response().status == 200
        connection.send(b"GET /livez HTTP/1.1\r\n")
        assert_raw_problem(connection, 408, "request-timeout")


def test_a_late_body_is_a_408(strict: RunningGateway) -> None:
    with connected(strict) as connection:
        connection.send(
            b"POST /tenants HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-API-Key: %b\r\n"
            b"Content-Length: 100\r\n\r\n{" % strict.api_key.encode()
        )
        assert_raw_problem(connection, 408, "request-timeout")


def test_a_client_that_disconnects_during_its_body_is_not_a_crash(
    strict: RunningGateway, capfd: pytest.CaptureFixture[str]
) -> None:
    with connected(strict) as connection:
        connection.send(
            b"POST /tenants HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-API-Key: %b\r\n"
            b"Content-Length: 100\r\n\r\n{" % strict.api_key.encode()
        )
        assert_raw_problem(connection, 408, "request-timeout")
    assert "Traceback" not in "".join(capfd.readouterr())


def test_an_unread_body_closes_the_connection(strict: RunningGateway) -> None:
    with connected(strict) as connection:
        connection.send(b"POST /tenants HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{")
        assert connection.read_response().status == 401
        connection.rest()


def test_an_idle_connection_is_closed_without_a_response(strict: RunningGateway) -> None:
    with connected(strict) as connection:
        connection.send(LIVEZ)
        assert connection.read_response().status == 200
        started = time.monotonic()
        assert connection.rest() == b""
        assert time.monotonic() - started > 1.5


def test_a_client_that_does_not_read_is_disconnected(strict: RunningGateway) -> None:
    with connected(strict) as connection:
        asked = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n"
        connection.send(asked * 50)
        time.sleep(1.5)  # the send timeout passes
        assert len(connection.rest()) < 50 * 1_000_000


def test_a_slow_response_does_not_make_the_request_late(strict: RunningGateway) -> None:
    body = json.dumps(tenant()).encode()
    with connected(strict) as connection:
        connection.send(
            b"POST /tenants HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-API-Key: %b\r\n"
            b"Prefer: wait=2\r\nContent-Length: %d\r\n\r\n%b" % (strict.api_key.encode(), len(body), body)
        )
        connection.send(b"GET /livez HTTP/1.1\r\n")
        assert connection.read_response().status == 202
        assert_raw_problem(connection, 408, "request-timeout")


def test_pipelined_requests_are_limited(gateway: RunningGateway) -> None:
    with connected(gateway) as connection:
        connection.send(LIVEZ * 10)
        assert [connection.read_response().status for _ in range(10)] == [200] * 10
    with connected(gateway) as connection:
        connection.send(LIVEZ * 500)
        connection.rest()


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"[]" + b"}" * (levels - 1)


@pytest.mark.parametrize(
    "body",
    [
        nested(MAX_JSON_DEPTH),
        b'{"a": "' + b"[" * 100 + b'"}',
        b'{"a": "\\"' + b"[{" * 100 + b'"}',
        b'{"a": "\\\\", "b": "' + b"{" * 100 + b'"}',
        b"[" + b"[]," * 1000 + b"[]]",
        b"not json at all",
        b"",
        b"[]" * 2**20,
        b"[[{}]]" * 2**18,
        b"\\" * 2**21,
        b'"' * 2**21,
    ],
)
def test_a_shallow_body_passes(body: bytes) -> None:
    check_body(body, max_values=10**9)


@pytest.mark.parametrize(
    "body",
    [
        nested(MAX_JSON_DEPTH + 1),
        b"[" * 1_000_000,
        b'{"a\\"": "\\\\", "b": ' + nested(MAX_JSON_DEPTH) + b"}",
        b'"' + b"\\\\" * 3 + b'"' + b"[" * 33,
        b"[]," * 100 + nested(MAX_JSON_DEPTH + 1),
        b'"[' * 2**20,
    ],
)
def test_depth_counts_brackets_outside_strings(body: bytes) -> None:
    with pytest.raises(ProblemError) as caught:
        check_body(body, max_values=10**9)
    assert (caught.value.status, caught.value.code) == (400, "json-too-deep")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
async def test_encodings_other_than_utf_8_are_rejected(http: httpx.AsyncClient, encoding: str) -> None:
    response = await http.post("/tenants", content=json.dumps(tenant()).encode(encoding), headers=JSON)
    assert_problem(response, 400, "malformed-json")


async def test_a_deep_body_is_a_problem_of_its_own(http: httpx.AsyncClient) -> None:
    for content in (nested(MAX_JSON_DEPTH + 1), b"[" * (MAX_VALUES - 1)):
        assert_problem(await http.post("/tenants", content=content, headers=JSON), 400, "json-too-deep")
    assert_problem(await http.post("/tenants", content=b"[" * 100_000, headers=JSON), 400, "json-too-long")


async def test_a_large_body_is_rejected_before_it_is_sent(strict: RunningGateway) -> None:
    with connected(strict) as connection:
        connection.send(
            b"POST /tenants HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-API-Key: %b\r\n"
            b"Expect: 100-continue\r\nContent-Length: 10001\r\n\r\n" % strict.api_key.encode()
        )
        response = connection.read_response()
    assert (response.status, response.document["code"]) == (413, "body-too-large")


async def test_requests_over_the_limit_are_rejected_at_once_but_not_probes(few: RunningGateway) -> None:
    async with few.client() as http, asyncio.TaskGroup() as group:
        waiting = [group.create_task(http.get("/wait")) for _ in range(2)]
        app = few.app
        async with asyncio.timeout(10):
            while (response := await http.get("/nothing")).status_code == 404:
                await anyio.lowlevel.checkpoint()
        assert_problem(response, 503, "overloaded")
        assert response.headers["retry-after"] == "1"
        assert (await http.get("/livez")).status_code == 200
        assert (await http.get("/readyz")).status_code == 200
        few.call_soon(app.state.end.set)
        assert [(await response).status_code for response in waiting] == [200, 200]
        assert (await http.get("/nothing")).status_code == 404


def test_uvicorn_has_the_minor_version_that_the_protocol_was_written_for() -> None:
    assert re.fullmatch(rf"{re.escape(UVICORN_MINOR_VERSION)}\.\d+", uvicorn.__version__), (
        f"uvicorn {uvicorn.__version__} is installed, but app/gateway/http/server/protocol.py extends private "
        f"classes of {UVICORN_MINOR_VERSION}: compare httptools_impl.py and flow_control.py of both versions, run "
        "tests/app/gateway/http and tests/attack, then raise UVICORN_MINOR_VERSION and the pin in "
        "pyproject.toml (docs/adr/0008-uvicorn-protocol.md)"
    )
    assert f'"uvicorn~={UVICORN_MINOR_VERSION}.' in (ROOT / "pyproject.toml").read_text()


async def test_uvicorn_has_every_private_name_that_the_protocol_uses() -> None:
    """A limit would silently stop working if a method that it overrides were renamed."""
    protocol = httptools_impl.HttpToolsProtocol
    for method in (
        "_start_asgi_task",
        "connection_made",
        "connection_lost",
        "data_received",
        "on_body",
        "on_header",
        "on_message_begin",
        "on_headers_complete",
        "on_message_complete",
        "send_400_response",
        "pause_writing",
        "resume_writing",
        "on_response_complete",
        "timeout_keep_alive_handler",
        "_unset_keepalive_if_required",
    ):
        assert callable(getattr(protocol, method)), method
    made = protocol(uvicorn.Config(FastAPI(), log_config=None), ServerState(), {})
    for name in ("cycle", "flow", "headers", "loop", "parser", "pipeline", "scheme", "server_state", "transport"):
        assert hasattr(made, name), name
    for name in ("disconnected", "keep_alive", "message_event", "response_complete", "response_started"):
        assert f"self.{name} = " in inspect.getsource(httptools_impl.RequestResponseCycle.__init__), name
    assert hasattr(flow_control.FlowControl, "resume_reading")
    assert httptools_impl.STATUS_LINE[431].startswith(b"HTTP/1.1 431 ")
