"""Mails through Resend's API, to a real HTTP server on loopback."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from temporalio.exceptions import ApplicationError

from activities.errors import FinalError
from activities.mail.resend import ResendApi, ResendTransport
from activities.mail.transport import Content
from app.embedded.processes.ports import free_port
from tests.activities.mail.mails import a_mail
from tests.support.servers.mail import ResendServer

pytestmark = pytest.mark.anyio

KEY = "re_a-key-of-this-installation"


@pytest.fixture
def server() -> Iterator[ResendServer]:
    with ResendServer(KEY) as server:
        yield server


@pytest.fixture
def transport(server: ResendServer) -> ResendTransport:
    return ResendTransport(ResendApi(server.url, KEY))


async def test_a_mail_is_sent_once_however_often_it_is_tried(
    server: ResendServer, transport: ResendTransport
) -> None:
    assert [await transport.send(a_mail()) for _ in range(3)] == ["resend-1"] * 3
    (mail,) = server.mails
    assert (mail["from"], mail["to"]) == ("Alga <noreply@alga.example>", ["Ada Byron <ada@acme.example>"])
    assert (mail["subject"], mail["html"]) == ("Welcome", "<p>Hello Ada,</p>")


async def test_a_mail_whose_text_has_changed_since_is_not_sent_again(
    server: ResendServer, transport: ResendTransport
) -> None:
    await transport.send(a_mail())
    changed = replace(a_mail(), content=Content("Welcome", "another text", "<p>another text</p>"))
    assert (await transport.send(changed)).endswith("(sent before)")
    assert len(server.mails) == 1


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (429, {"statusCode": 429, "name": "rate_limit_exceeded", "message": "Too many requests"}),
        (500, {"statusCode": 500, "name": "application_error", "message": "Something went wrong"}),
        (409, {"statusCode": 409, "name": "concurrent_idempotent_requests", "message": "In progress"}),
        (200, {}),
    ],
)
async def test_a_passing_error_can_be_tried_again(
    server: ResendServer, transport: ResendTransport, status: int, document: dict[str, object]
) -> None:
    server.responses.append((status, document))
    with pytest.raises(ApplicationError, match="Resend"):
        await transport.send(a_mail())
    assert await transport.send(a_mail()) == "resend-1"


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (422, {"statusCode": 422, "name": "validation_error", "message": "Invalid `to` field: ada@acme.example"}),
        (403, {"statusCode": 403, "name": "validation_error", "message": "The domain is not verified"}),
        # As its libraries show errors.
        (200, {"data": None, "error": {"name": "validation_error", "message": "The domain is not verified"}}),
    ],
)
async def test_a_refused_mail_is_a_final_error(
    server: ResendServer, transport: ResendTransport, status: int, document: dict[str, object]
) -> None:
    server.responses.append((status, document))
    with pytest.raises(FinalError, match=rf"Resend said {status} validation_error") as refused:
        await transport.send(a_mail())
    assert "ada@" not in str(refused.value)


async def test_a_wrong_key_is_named_without_its_value(server: ResendServer) -> None:
    transport = ResendTransport(ResendApi(server.url, "re_another-key"))
    for attempt in (transport.check(), transport.send(a_mail())):
        with pytest.raises(FinalError, match="Resend said 401 invalid_api_key") as refused:
            await attempt
        assert "re_another" not in str(refused.value)


async def test_a_check_sends_nothing(server: ResendServer, transport: ResendTransport) -> None:
    assert await transport.check() == server.url
    assert server.requests == 0


async def test_an_api_that_is_away_is_a_passing_error() -> None:
    transport = ResendTransport(ResendApi(f"http://127.0.0.1:{free_port()}", KEY))
    with pytest.raises(ApplicationError, match="Resend can't be reached: ConnectError"):
        await transport.send(a_mail())
