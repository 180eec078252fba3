"""How the counting proxy parses PostgreSQL's protocol."""

from typing import Any

import asyncpg
import pytest

from app.settings import Settings
from bench.databases.counting import CountingProxy
from bench.wire import TLS_REQUEST, Transaction, Wire

pytestmark = pytest.mark.anyio
START = (8).to_bytes(4, "big") + (196_608).to_bytes(4, "big")
IDLE, IN_TRANSACTION = b"I", b"T"


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + (4 + len(body)).to_bytes(4, "big") + body


@pytest.fixture
def seen() -> list[Transaction]:
    return []


@pytest.fixture
def wire(seen: list[Transaction]) -> Wire:
    """A connection that has logged in."""
    wire = Wire(seen.append)
    wire.sent(START)
    wire.received(message("R", b"\0\0\0\0") + message("Z", IDLE))
    return wire


def test_logging_in_is_not_counted(wire: Wire, seen: list[Transaction]) -> None:
    wire.sent(message("Q", b"SELECT 1\0"))
    assert seen == []


def test_a_transaction_ends_when_the_server_is_idle_again(wire: Wire, seen: list[Transaction]) -> None:
    for text, status in ((b"BEGIN\0", IN_TRANSACTION), (b"SELECT 1\0", IN_TRANSACTION), (b"COMMIT\0", IDLE)):
        wire.sent(message("Q", text))
        wire.received(message("Z", status))
    [transaction] = seen
    assert (transaction.round_trips, transaction.statements) == (3, 3)
    assert transaction.seconds > 0


def test_what_arrives_in_pieces_is_one_round_trip(wire: Wire, seen: list[Transaction]) -> None:
    asked = message("B", b"\0") + message("E") + message("S")
    for byte in asked:
        wire.sent(bytes([byte]))
    for byte in message("Z", IDLE):
        wire.received(bytes([byte]))
    assert [(taken.round_trips, taken.statements) for taken in seen] == [(1, 1)]


def test_a_refused_request_for_tls_and_the_start_after_it_are_not_counted(seen: list[Transaction]) -> None:
    wire = Wire(seen.append)
    wire.sent((8).to_bytes(4, "big") + TLS_REQUEST.to_bytes(4, "big"))
    wire.received(b"N")
    wire.sent(START)
    wire.received(message("R", b"\0\0\0\0") + message("Z", IDLE))
    assert seen == []
    wire.sent(message("Q", b"SELECT 1\0"))
    wire.received(message("Z", IDLE))
    assert [(taken.round_trips, taken.statements) for taken in seen] == [(1, 1)]


def test_a_script_is_one_round_trip_and_counts_as_one_statement(wire: Wire, seen: list[Transaction]) -> None:
    wire.sent(message("Q", b"BEGIN\0"))
    wire.received(message("Z", IN_TRANSACTION))
    wire.sent(message("Q", b"INSERT INTO one VALUES (1);\nINSERT INTO two VALUES (2);\nCOMMIT\0"))
    wire.received(message("C", b"INSERT 0 1\0") + message("Z", IDLE))
    assert [(taken.round_trips, taken.statements) for taken in seen] == [(2, 2)]


def test_the_clients_own_time_is_not_counted(
    wire: Wire, seen: list[Transaction], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0, 50.0, 52.0])
    monkeypatch.setattr("bench.wire.time.perf_counter", lambda: next(clock))
    for text, status in ((b"BEGIN\0", IN_TRANSACTION), (b"COMMIT\0", IDLE)):
        wire.sent(message("Q", text))
        wire.received(message("Z", status))
    assert [taken.seconds for taken in seen] == [3.0]


async def test_statements_of_a_real_connection_are_counted(settings: Settings) -> None:
    url = settings.admin_database_url.get_secret_value()
    address: dict[str, Any] = {"host": "127.0.0.1"}
    async with CountingProxy(_port(url)) as proxy:
        connection = await asyncpg.connect(url, **address | {"port": proxy.port})
        try:
            assert proxy.take() == []
            async with connection.transaction():
                assert await connection.fetchval("SELECT 1 + $1::int", 1) == 2
        finally:
            await connection.close()
        [transaction] = proxy.take()
    # BEGIN, the statement's preparation and its execution, COMMIT.
    assert (transaction.round_trips, transaction.statements) == (4, 3)


def _port(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])
