"""Limits of connections and requests."""

import inspect
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http import flow_control, httptools_impl
from uvicorn.server import ServerState

from app.gateway.http.server.protocol import UVICORN_MINOR_VERSION
from app.settings import Settings
from tests.app.gateway.raw import assert_raw_problem, connected, creation_head
from tests.app.gateway.requests import tenant
from tests.app.gateway.server import RunningGateway

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[5]
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def strict_settings(settings: Settings) -> Settings:
    """Return settings with short timeouts."""
    limits = {
        "max_header_bytes": 4096,
        "max_body_bytes": 10_000,
        "request_header_timeout": 0.5,
        "body_timeout": 0.5,
        "send_timeout": 0.5,
        "keep_alive_timeout": 1,
    }
    return settings.model_copy(update=limits)


@pytest.fixture(scope="module")
def strict(strict_settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    with RunningGateway(strict_settings, api_key) as server:
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
        connection.send(creation_head(gateway.api_key, b"Content-Length: %d" % len(body)))
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
        connection.send(creation_head(strict.api_key, b"Content-Length: 100") + b"{")
        assert_raw_problem(connection, 408, "request-timeout")


def test_a_client_that_disconnects_during_its_body_is_not_a_crash(
    strict_settings: Settings, api_key: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with RunningGateway(strict_settings, api_key) as gateway, connected(gateway) as connection:
        connection.send(creation_head(api_key, b"Content-Length: 100") + b"{")
        assert_raw_problem(connection, 408, "request-timeout")
    # The thread of the gateway has ended. Python can crash if one thread reads a stream to which another writes.
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
        assert time.monotonic() - started > 0.7


def test_a_client_that_does_not_read_is_disconnected(strict: RunningGateway) -> None:
    with connected(strict) as connection:
        asked = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n"
        connection.send(asked * 50)
        time.sleep(1.5)  # the send timeout passes
        assert len(connection.rest()) < 50 * 1_000_000


def test_a_slow_response_does_not_make_the_request_late(strict: RunningGateway) -> None:
    body = json.dumps(tenant()).encode()
    with connected(strict) as connection:
        connection.send(creation_head(strict.api_key, b"Prefer: wait=1\r\nContent-Length: %d" % len(body)) + body)
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


async def test_a_large_body_is_rejected_before_it_is_sent(strict: RunningGateway) -> None:
    with connected(strict) as connection:
        connection.send(creation_head(strict.api_key, b"Expect: 100-continue\r\nContent-Length: 10001"))
        response = connection.read_response()
    assert (response.status, response.document["code"]) == (413, "body-too-large")


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
