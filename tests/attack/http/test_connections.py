"""Limits of connections before authentication."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product

import pytest

from app.gateway.http.server import connections
from app.settings import Settings
from tests.app.gateway.process import GatewayProcess
from tests.app.gateway.raw import assert_raw_problem, connected, creation_head
from tests.app.gateway.server import RunningGateway
from tests.support.servers.processes import wait_for

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST /tenants HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECE = b"x" * 60_000
MEBIBYTE = 2**20
MAX_GROWTH = 50


@pytest.fixture(scope="module")
def process(settings: Settings, api_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A process with short timeouts for bodies and responses."""
    timeouts = {"SEND_TIMEOUT": "1", "BODY_TIMEOUT": "1"}
    started = GatewayProcess(settings, api_key, tmp_path_factory.mktemp("gateway") / "gateway.log", **timeouts)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def strict(settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    """A gateway with short limits."""
    limits = {"max_header_bytes": 4096, "max_body_bytes": 100_000, "request_header_timeout": 1.0, "send_timeout": 1.0}
    with RunningGateway(settings.model_copy(update=limits), api_key) as server:
        yield server


@pytest.mark.parametrize(
    ("begin", "endless"),
    [
        (CHUNKED + b"0\r\n", b"X-Trailer: " + b"x" * 1000 + b"\r\n"),
        (CHUNKED + b"0\r\n", b"t: \r\n" * 1000),
        (CHUNKED + b"0\r\nX-Endless: ", PIECE),
        (CHUNKED + b"0\r\n", PIECE),
        (CHUNKED + b"1;extension=", PIECE),
        (CHUNKED, b"1;extension=" + b"x" * 1000 + b"\r\nx\r\n"),
        (CHUNKED, b"0" * 5000),
    ],
    ids=["trailers", "short-trailers", "trailer-value", "trailer-name", "extension", "extensions", "chunk-size"],
)
def test_framing_and_trailers_are_bounded(process: GatewayProcess, begin: bytes, endless: bytes) -> None:
    before = process.memory
    with connected(process) as connection:
        connection.send(begin)
        for _ in range(20 * MEBIBYTE // len(endless)):
            if connection.is_over:
                break
            connection.send(endless)
        responses = [connection.read_response().status]
        if responses == [401]:
            # Rejected before the body.
            connection.rest()
        else:
            assert responses[0] in {400, 431}
    assert process.memory - before < MAX_GROWTH
    assert "Traceback" not in process.log


def authenticated(gateway: RunningGateway) -> bytes:
    return creation_head(gateway.api_key, b"Transfer-Encoding: chunked")


@pytest.mark.parametrize(
    "sent",
    [
        b"0\r\n" + b"X-Trailer: x\r\n" * 1000,
        b"0\r\nX-Endless: " + b"x" * 600_000,
        b"1;" + b"x" * 600_000,
        b"1;a=b;c=d;e=f;g=h;i=j\r\n \r\n" * 20_000,
    ],
    ids=["trailers", "trailer", "extension", "extensions"],
)
def test_too_much_framing_is_a_431(strict: RunningGateway, sent: bytes) -> None:
    with connected(strict) as connection:
        connection.send(authenticated(strict))
        for begin in range(0, len(sent), 20_000):
            connection.send(sent[begin : begin + 20_000])
        assert_raw_problem(connection, 431, "headers-too-large")


def test_a_trailer_is_not_a_header(strict: RunningGateway) -> None:
    body = b"{}"
    with connected(strict) as connection:
        connection.send(authenticated(strict) + b"2\r\n%b\r\n0\r\nX-API-Key: none\r\nX-Empty:\r\n\r\n" % body)
        assert connection.read_response().status == 422
        connection.send(LIVEZ.replace(b"Host", b"X-Request-ID"))
        assert connection.read_response().headers["x-request-id"] == "a"


def test_a_body_of_small_chunks_is_accepted(strict: RunningGateway) -> None:
    body = json.dumps({"tenantName": "x" * 10_000}).encode()
    with connected(strict) as connection:
        connection.send(authenticated(strict))
        connection.send(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
        assert connection.read_response().status == 422


def test_the_number_of_headers_is_bounded(strict: RunningGateway) -> None:
    with connected(strict) as connection:
        connection.send(b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"a:b\r\n" * 500 + b"\r\n")
        assert_raw_problem(connection, 431, "headers-too-large")


def test_an_unwanted_body_closes_the_connection(strict: RunningGateway) -> None:
    with connected(strict) as connection:
        connection.send(b"POST /tenants HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
        assert connection.read_response().status == 401
        for _ in range(1000):
            if connection.is_over:
                break
            connection.send(PIECE)
        assert connection.is_over, "60 MB were read"


def test_a_client_without_its_100_is_not_misread(strict: RunningGateway) -> None:
    with connected(strict) as connection:
        connection.send(
            b"POST /tenants HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(LIVEZ)
        )
        assert connection.read_response().status == 401
        connection.send(LIVEZ)
        assert connection.rest() == b""


def test_line_ends_before_a_request_are_bounded(strict: RunningGateway) -> None:
    with connected(strict) as connection:
        connection.send(LIVEZ)
        assert connection.read_response().status == 200
        connection.send(b"\r\n" * 50_000)
        assert_raw_problem(connection, 431, "headers-too-large")


def test_connections_are_bounded(settings: Settings, api_key: str) -> None:
    with (
        RunningGateway(settings.model_copy(update={"max_connections": 5}), api_key) as gateway,
        ExitStack() as stack,
    ):
        held = [stack.enter_context(connected(gateway)) for _ in range(5)]
        for connection in held:
            connection.send(creation_head(api_key, b"Content-Length: 100") + b"{")
        wait_for(lambda: gateway.requests_in_progress == 5)
        with connected(gateway) as connection:
            connection.send(LIVEZ)
            assert_raw_problem(connection, 503, "overloaded")
        held[0].close_socket()
        wait_for(lambda: _is_served(gateway))


def test_an_idle_connection_is_closed_for_a_new_one(settings: Settings, api_key: str) -> None:
    with (
        RunningGateway(settings.model_copy(update={"max_connections": 3}), api_key) as gateway,
        ExitStack() as stack,
    ):
        held = [stack.enter_context(connected(gateway)) for _ in range(3)]
        held[0].send(LIVEZ)
        assert held[0].read_response().status == 200
        held[1].send(b"GET /livez HT")
        for _ in range(20):
            assert _is_served(gateway)


def test_incomplete_headers_are_bounded_on_all_connections_together(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_PARTIAL_BYTES", 100_000)
    with ExitStack() as stack:
        held = [stack.enter_context(connected(gateway)) for _ in range(6)]
        for connection in held:
            connection.send(b"GET /livez HTTP/1.1\r\nX: " + b"x" * 25_000)
        wait_for(lambda: sum(connection.is_over for connection in held) >= 3)
        assert sum(not connection.is_over for connection in held) == 3
        (kept, *_) = [connection for connection in held if not connection.is_over]
        kept.send(b"\r\n\r\n")
        assert kept.read_response().status == 200


def _is_served(gateway: RunningGateway) -> bool:
    with connected(gateway) as connection:
        connection.send(LIVEZ)
        return connection.read_response().status == 200


def test_too_many_pipelined_requests_close_the_connection(process: GatewayProcess) -> None:
    for _ in range(20):
        with connected(process) as connection:
            connection.send(LIVEZ * 1000)
            received = connection.rest()
        assert received.count(b"HTTP/1.1 200") < 100
    assert "Traceback" not in process.log


UNREAD = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n"


def test_clients_that_do_not_read_leave_no_traceback(process: GatewayProcess) -> None:
    wait_for(lambda: process.connections == 0)
    with ExitStack() as stack:
        for sent in (UNREAD * 9, UNREAD * 100, LIVEZ * 3 + UNREAD * 3 + b"nonsense\r\n\r\n"):
            for _ in range(5):
                stack.enter_context(connected(process)).send(sent)
        wait_for(lambda: process.connections == 0)
    assert _is_alive(process)
    assert "Traceback" not in process.log


def test_late_bodies_leave_no_traceback(process: GatewayProcess) -> None:
    lines = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n%bContent-Length: 200000\r\n\r\n"
    key = b"X-API-Key: %b\r\n" % process.api_key.encode()
    heads = [lines % (path, keyed) for path in (b"/tenants", b"/nothing", b"/codec/decode") for keyed in (key, b"")]
    with ExitStack() as stack:
        late = []
        for head, body in product(heads, (b"", b"{", b"x" * 70_000, b"x" * 199_999)):
            late.append(stack.enter_context(connected(process)))
            late[-1].send(head + body)
        for connection in late:
            connection.rest()
    for head, length in product(heads, (10, 70_000)):
        with connected(process) as connection:
            connection.send(head + b"x" * length)
            connection.close_socket()
    assert _is_alive(process)
    assert "Traceback" not in process.log


def test_clients_that_reset_leave_no_traceback(process: GatewayProcess) -> None:
    for sent in (LIVEZ * 50, UNREAD * 20, b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n" * 9, b"nonsense\r\n\r\n"):
        for _ in range(10):
            with connected(process) as connection:
                connection.send(sent)
                connection.reset()
    assert _is_alive(process)
    assert "Traceback" not in process.log


def _is_alive(process: GatewayProcess) -> bool:
    with connected(process) as connection:
        connection.send(LIVEZ)
        return connection.read_response().status == 200
