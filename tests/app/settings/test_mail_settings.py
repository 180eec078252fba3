import pytest
from pydantic import SecretStr

from app.settings import Settings, SettingsError

KEY = "the-key-that-signs-algas-own-links"
SMTP = {
    "mail_provider": "smtp",
    "mail_from": "Alga <noreply@example.com>",
    "smtp_host": "smtp.example.com",
    "alga_url": "https://alga.example.com",
}
RESEND = {
    "mail_provider": "resend",
    "mail_from": "noreply@example.com",
    "resend_api_key": "re_something",
    "alga_url": "https://alga.example.com",
}


def load(**changes: str) -> Settings:
    return Settings.load(
        database_url=SecretStr("postgresql://nobody@nowhere/alga"),
        admin_database_url=SecretStr("postgresql://nobody@nowhere/alga"),
        nextauth_secret=SecretStr("a-long-and-serious-secret"),
        **changes,
    )


def test_nothing_is_sent_unless_a_provider_is_set() -> None:
    settings = load(alga_secret_key=KEY)
    assert (settings.mail_provider, settings.mails_have_links) == ("none", False)


@pytest.mark.parametrize("chosen", [SMTP, RESEND], ids=["smtp", "resend"])
def test_mails_have_links_with_algas_key(chosen: dict[str, str]) -> None:
    assert load(**chosen).mails_have_links is False
    assert load(**chosen, alga_secret_key=KEY).mails_have_links is True


@pytest.mark.parametrize(("tls", "port"), [("starttls", 587), ("implicit", 465), ("none", 25)])
def test_the_port_follows_from_the_encryption(tls: str, port: int) -> None:
    assert load(**SMTP, smtp_tls=tls).smtp_address == ("smtp.example.com", port)
    assert load(**SMTP, smtp_tls=tls, smtp_port="2525").smtp_address == ("smtp.example.com", 2525)


@pytest.mark.parametrize("environment", ["production", "development"])
@pytest.mark.parametrize("key", ["", "default"])
def test_a_key_with_which_anyone_can_forge_links_is_refused(environment: str, key: str) -> None:
    with pytest.raises(SettingsError, match=r"^ALGA_SECRET_KEY: .*set SECRET_KEY in Alga"):
        load(alga_secret_key=key, environment=environment)


def test_a_short_key_is_refused_in_production() -> None:
    with pytest.raises(SettingsError, match=r"^ALGA_SECRET_KEY has less than 16 characters"):
        load(alga_secret_key="fifteen-letters")
    load(alga_secret_key="fifteen-letters", environment="development")


@pytest.mark.parametrize(
    ("chosen", "name"),
    [
        *((SMTP, name) for name in SMTP if name != "mail_provider"),
        *((RESEND, n) for n in RESEND if n != "mail_provider"),
    ],
)
def test_what_a_provider_needs_is_named(chosen: dict[str, str], name: str) -> None:
    without = {key: value for key, value in chosen.items() if key != name}
    with pytest.raises(SettingsError) as refused:
        load(**without)
    assert str(refused.value).startswith(
        f"{name.upper()} is not set; MAIL_PROVIDER={chosen['mail_provider']} needs it"
    )


def test_everything_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        load(mail_provider="smtp")
    names = [line.partition(" ")[0] for line in str(refused.value).splitlines()]
    assert names == ["MAIL_FROM", "ALGA_URL", "SMTP_HOST"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"mail_provider": "pigeon"}, "MAIL_PROVIDER: "),
        ({"mail_from": "Alga"}, "MAIL_FROM: must be an address like"),
        ({"mail_from": "Alga <noreply@example.com>\r\nBcc: eve@example.com"}, "MAIL_FROM: must be an address like"),
        ({"smtp_tls": "maybe"}, "SMTP_TLS: "),
        ({"smtp_port": "99999"}, "SMTP_PORT: "),
        ({"smtp_username": "ada"}, "SMTP_PASSWORD is not set"),
        ({"smtp_password": "open sesame"}, "SMTP_USERNAME is not set"),
        (
            {"smtp_username": "ada", "smtp_password": "open sesame", "smtp_tls": "none"},
            "SMTP_TLS is none, so SMTP_PASSWORD would be sent in clear",
        ),
        ({"smtp_ca_file": "/nowhere.pem"}, "SMTP_CA_FILE: /nowhere.pem can't be read"),
        ({"alga_url": "alga.example.com"}, "ALGA_URL: must be like https://"),
        ({"alga_url": "http://alga.example.com"}, "ALGA_URL: must be like https://"),
        ({"alga_url": "https://alga.example.com/auth"}, "ALGA_URL: must be like https://"),
        ({"alga_url": "https://ada:word@alga.example.com"}, "ALGA_URL: must be like https://"),
        ({"alga_url": "https://alga.example.com\n.evil.example"}, "ALGA_URL: must be like https://"),
        ({"resend_api_url": "http://api.resend.com"}, "RESEND_API_URL: must be a URL with https"),
    ],
)
def test_a_fault_is_named(changes: dict[str, str], fault: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(**SMTP | changes)
    assert str(refused.value).startswith(fault)
    assert "open sesame" not in str(refused.value)


def test_a_server_on_this_machine_may_be_reached_in_clear() -> None:
    load(**SMTP | {"smtp_host": "127.0.0.1", "smtp_tls": "none", "smtp_username": "ada", "smtp_password": "word!"})
    load(**SMTP | {"alga_url": "http://localhost:3000/"})


def test_no_secret_is_in_the_repr() -> None:
    settings = load(**RESEND, alga_secret_key=KEY, smtp_username="ada", smtp_password="open sesame")
    shown = repr(settings) + str(settings.model_dump())
    assert not [secret for secret in (KEY, "open sesame", "re_something") if secret in shown]
