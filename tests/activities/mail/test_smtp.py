"""Mails over SMTP, to a real server on loopback."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from activities.errors import FinalError, to_application_error
from activities.mail.addresses import visible
from activities.mail.smtp import SmtpServer, SmtpTransport
from activities.mail.transport import MAIL_REFUSED, MAIL_UNAVAILABLE, shown_reason
from app.embedded.processes.ports import free_port
from tests.activities.mail.mails import MAIL_ID, a_mail
from tests.support.certificates import Authority
from tests.support.servers.mail import PASSWORD, USERNAME, MailServer, html_of, text_of

pytestmark = pytest.mark.anyio


def of(server: MailServer, **changes: object) -> SmtpTransport:
    address = SmtpServer("127.0.0.1", server.port, greeting="alga.example", tls="none")
    return SmtpTransport(replace(address, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_mail_arrives_over_tls_with_a_login(tls: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with MailServer(tls=tls, certificate=authority.issue("127.0.0.1"), needs_login=True) as server:
        transport = of(server, tls=tls, ca_file=authority.file, username=USERNAME, password=PASSWORD)
        assert await transport.check() == f"127.0.0.1:{server.port}"
        assert await transport.send(a_mail()) == f"<{MAIL_ID}@alga.example>"
    (message,) = server.received
    assert server.logins == [USERNAME.encode()] * 2
    assert (message["From"], message["To"]) == ("Alga <noreply@alga.example>", "Ada Byron <ada@acme.example>")
    assert (message["Subject"], message["Message-ID"]) == ("Welcome", f"<{MAIL_ID}@alga.example>")
    assert text_of(message).splitlines() == ["Hello Ada,", "you are in."]
    assert html_of(message).strip() == "<p>Hello Ada,</p>"


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_an_unknown_certificate_is_refused_before_anything_is_said(tls: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    certificate = Authority(tmp_path / "other").issue("127.0.0.1")
    with MailServer(tls=tls, certificate=certificate, needs_login=True) as server:
        transport = of(server, tls=tls, ca_file=Authority(tmp_path).file, username=USERNAME, password=PASSWORD)
        with pytest.raises(ApplicationError, match=r"the certificate of the mail server .* is refused"):
            await transport.send(a_mail())
    assert (server.received, server.logins) == ([], [])


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    refusal = pytest.raises(ApplicationError, match=r"the certificate of the mail server .* is refused")
    with MailServer(tls="implicit", certificate=authority.issue("smtp.alga.example")) as server, refusal:
        await of(server, tls="implicit", ca_file=authority.file).send(a_mail())
    assert server.received == []


async def test_a_server_without_starttls_gets_no_mail_in_clear() -> None:
    with MailServer() as server, pytest.raises((ApplicationError, FinalError)):
        await of(server, tls="starttls").send(a_mail())
    assert server.received == []


async def test_a_wrong_password_is_final_and_not_shown(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with MailServer(tls="starttls", certificate=authority.issue("127.0.0.1"), needs_login=True) as server:
        transport = of(server, tls="starttls", ca_file=authority.file, username=USERNAME, password="wrong-password")
        with pytest.raises(FinalError, match="said 535") as refused:
            await transport.check()
    assert refused.value.code == MAIL_REFUSED
    assert "wrong-password" not in str(refused.value)


@pytest.mark.parametrize(
    ("reply", "code"),
    [("550 5.7.1 no such user ada@acme.example", MAIL_REFUSED), ("451 4.7.1 try again later", MAIL_UNAVAILABLE)],
)
async def test_what_the_server_says_decides_whether_it_is_tried_again(reply: str, code: str) -> None:
    with MailServer() as server:
        server.reply = lambda _: reply
        with pytest.raises((FinalError, ApplicationError)) as failed:
            await of(server).send(a_mail())
    assert to_application_error(failed.value).type == code
    assert reply[:9] in str(failed.value)
    assert "ada@acme.example" not in str(failed.value)


async def test_a_server_that_is_away_is_a_passing_error() -> None:
    transport = SmtpTransport(SmtpServer("127.0.0.1", free_port(), greeting="alga.example", tls="none"))
    with pytest.raises(ApplicationError, match=r"the mail server .* can't be used") as failed:
        await transport.send(a_mail())
    assert (failed.value.type, failed.value.non_retryable) == (MAIL_UNAVAILABLE, False)


async def test_a_server_that_breaks_off_after_it_accepted_has_accepted() -> None:
    with MailServer() as server:

        async def vanish(*_: object) -> str:
            raise ConnectionError

        server.handle_QUIT = vanish  # type: ignore[attr-defined]
        await of(server).send(a_mail())
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "name",
    [
        'Ada "the" Byron',
        "Ada\r\nBcc: eve@evil.example",
        "Ада 👩‍💻",
        "a, b; c <d@e.example>",
        "x" * 255,
        "\u202eadA",
        "",
    ],
)
async def test_hostile_names_stay_in_their_header(name: str) -> None:
    with MailServer() as server:
        await of(server).send(a_mail(name=visible(name), subject=f"For {visible(name)}"))
    (message,) = server.received
    assert server.recipients == ["ada@acme.example"]
    assert [address.addr_spec for address in message["To"].addresses] == ["ada@acme.example"]
    assert (message["Bcc"], message["Cc"]) == (None, None)
    assert message["Subject"] == f"For {visible(name)}"


async def test_an_address_beyond_ascii_is_sent_as_such() -> None:
    with MailServer() as server:
        await of(server).send(a_mail("jörg@bücher.example"))
    assert server.recipients == ["jörg@xn--bcher-kva.example"]


async def test_a_slow_server_costs_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.mail.smtp.SEND_SECONDS", 0.2)

    # It accepts connections and says nothing.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        transport = SmtpTransport(SmtpServer("127.0.0.1", port, greeting="alga.example", tls="none"))
        with pytest.raises(ApplicationError, match="can't be used"):
            await transport.send(a_mail())


def test_links_and_addresses_are_cut_from_what_a_server_says() -> None:
    link = "https://alga.example/?token=eyJhbGciOiJIUzI1NiJ9.eyJlbWFpbCI6ImEifQ.c2ln"
    said = f"5.7.1 {link} blocked for <ada@acme.example>"
    assert shown_reason(said) == "5.7.1 … blocked for …"
