"""Single requests to a receiver: where they go, how long they may take, and what is read."""

import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from pathlib import Path
from uuid import uuid4

import pytest

from activities.webhooks.guard import Guard
from activities.webhooks.secrets import new_secret, signature_headers
from activities.webhooks.sending import Attempt, Outcome, Sender
from app.embedded.processes.ports import free_port
from tests.support.certificates import Authority
from tests.support.servers.receiver import Receiver, Reply

pytestmark = pytest.mark.anyio

LOOPBACK_ALLOWED = Guard([ip_network("127.0.0.0/8"), ip_network("::1/128")])
BODY = '{"specversion":"1.0"}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        receiver.secrets["/events"] = new_secret()
        yield receiver


@asynccontextmanager
async def sender(guard: Guard = LOOPBACK_ALLOWED, **options: object) -> AsyncIterator[Sender]:
    made = Sender(guard, connections=4, **options)  # type: ignore[arg-type]  # by the caller
    try:
        yield made
    finally:
        await made.aclose()


async def post(sending: Sender, url: str, secret: str | None = None) -> Attempt:
    headers = signature_headers(uuid4(), BODY, [secret or new_secret()], datetime.now(UTC))
    return await sending.post(url, headers, BODY.encode())


async def test_a_request_that_hangs_ends_in_time(receiver: Receiver) -> None:
    released = threading.Event()
    receiver.reply = lambda _: Reply(after=released)
    async with sender(seconds=0.3) as sending:
        attempt = await post(sending, receiver.url(), receiver.secrets["/events"])
    released.set()
    assert attempt.outcome is Outcome.TIMEOUT
    assert attempt.error == "the receiver did not respond within 0.3 s"


async def test_a_port_without_a_server_is_unreachable() -> None:
    async with sender() as sending:
        attempt = await post(sending, f"http://127.0.0.1:{free_port()}/events")
    assert attempt.outcome is Outcome.UNREACHABLE
    assert attempt.status_code is None


async def test_a_name_without_an_address_is_unreachable() -> None:
    async with sender() as sending:
        attempt = await post(sending, "https://nowhere.invalid/events")
    assert (attempt.outcome, attempt.error) == (Outcome.UNREACHABLE, "the name of the host can't be resolved")


async def test_a_long_body_is_not_read_to_its_end(receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(200, {"Content-Length": str(10**12)}, body=b"a" * 100_000)
    async with sender() as sending:
        attempt = await post(sending, receiver.url(), receiver.secrets["/events"])
    assert attempt.outcome is Outcome.DELIVERED


@pytest.mark.parametrize(
    ("status", "value", "seconds"),
    [
        (429, "120", 120),
        (503, "7", 7),
        (500, "120", 0),
        (429, "soon", 0),
        (429, timedelta(days=400), 400 * 86_400),
        (429, timedelta(days=-1), 0),
    ],
)
async def test_a_receiver_says_when_it_wants_the_next_request(
    receiver: Receiver, status: int, value: str | timedelta, seconds: float
) -> None:
    if isinstance(value, timedelta):
        value = format_datetime(datetime.now(UTC) + value, usegmt=True)
    headers = {"Retry-After": value}
    receiver.reply = lambda _: Reply(status, headers)
    async with sender() as sending:
        attempt = await post(sending, receiver.url(), receiver.secrets["/events"])
    assert attempt.outcome is Outcome.REJECTED
    assert attempt.retry_after == pytest.approx(seconds, abs=600)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1"])
async def test_no_connection_is_made_to_an_address_that_is_not_allowed(receiver: Receiver, host: str) -> None:
    async with sender(Guard()) as sending:
        attempt = await post(sending, f"https://{host}:{receiver.port}/events")
    assert attempt.outcome is Outcome.FORBIDDEN
    assert (receiver.received, receiver.refused) == ([], [])


async def test_a_name_is_looked_up_once_and_its_checked_address_is_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: str, port: int, **options: object) -> object:
        # A name server that responds with the allowed address once, and with another one from then on.
        looked_up.append(host)
        return real("127.0.0.1" if len(looked_up) == 1 else "127.0.0.2", port, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("activities.webhooks.connections.socket.getaddrinfo", rebinding)
    async with sender(Guard([ip_network("127.0.0.1/32")])) as sending:
        url = f"http://rebinding.example:{receiver.port}/events"
        assert (await post(sending, url, receiver.secrets["/events"])).outcome is Outcome.DELIVERED
    assert looked_up == ["rebinding.example"]
    async with sender(Guard([ip_network("127.0.0.1/32")])) as sending:
        assert (await post(sending, url, receiver.secrets["/events"])).outcome is Outcome.FORBIDDEN
    assert len(receiver.received) == 1


async def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    async with sender() as sending:
        attempt = await post(sending, receiver.url(), receiver.secrets["/events"])
    assert attempt.outcome is Outcome.DELIVERED


async def test_the_certificate_must_be_for_the_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.create_default_context(cafile=str(authority.file))
    for name, outcome in (("localhost", Outcome.DELIVERED), ("other.example", Outcome.UNREACHABLE)):
        with Receiver(tls=authority.issue(name)) as receiver:
            receiver.secrets["/events"] = new_secret()
            async with sender(context=context) as sending:
                attempt = await post(sending, receiver.url(), receiver.secrets["/events"])
        assert attempt.outcome is outcome
    assert attempt.error is not None
    assert "certificate is not valid: Hostname mismatch" in attempt.error
