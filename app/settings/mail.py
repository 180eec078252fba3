"""How welcome mails are sent, and what their links need."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from activities.database.certificates import TlsFileError, check_authorities
from activities.mail.addresses import Mailbox
from app.settings.base import ProcessSettings
from app.settings.secrets import MIN_SECRET_LENGTH
from app.settings.types import Port, checked_by, is_loopback, is_protected_url

# Alga signs with this word if its own key is not set, so that anyone can forge its links.
ALGAS_DEFAULT_SECRET_KEY = "default"  # noqa: S105 - a public word
PORTS = {"starttls": 587, "implicit": 465, "none": 25}


def _mailbox(value: str) -> None:
    try:
        Mailbox.parse(value)
    except ValueError as error:
        raise ValueError(f"must be an address like Alga <noreply@example.com>: {error}") from None


def _algas_key(value: str) -> None:
    if value in {"", ALGAS_DEFAULT_SECRET_KEY}:
        problem = "is Alga's default, which everyone knows" if value else "must not be empty"
        raise ValueError(f"{problem}; set SECRET_KEY in Alga, and the same value here")


Sender = Annotated[str, checked_by(_mailbox)]
AlgasKey = Annotated[SecretStr, checked_by(_algas_key)]


class MailSettings(ProcessSettings):
    """The mail provider, the sender, templates, and Alga's address and key. Only workers send mails."""

    mail_provider: Literal["none", "smtp", "resend"] = "none"
    """What sends the welcome mail: a mail server (`smtp`) or Resend's API (`resend`). With `none` the step is
    skipped."""
    mail_from: Sender | None = None
    """Sender, like `Alga <noreply@example.com>`; required with a provider."""
    mail_templates_dir: Path | None = None
    """Folder of templates that replace the built-in ones of the same name."""
    smtp_host: str | None = Field(default=None, min_length=1)
    """Mail server; required with `MAIL_PROVIDER=smtp`."""
    smtp_port: Port | None = None
    """Its port (default: 587; 465 with `implicit`, 25 with `none`)."""
    smtp_tls: Literal["starttls", "implicit", "none"] = "starttls"
    """TLS to the mail server, whose certificate is verified. `none` sends in clear, links included, so use it only
    for a server on the same machine."""
    smtp_ca_file: Path | None = None
    """PEM file of the CA certificates to trust for the mail server, instead of the system's."""
    smtp_username: str | None = Field(default=None, min_length=1)
    """User name for the mail server, which is only sent over TLS or to this machine."""
    smtp_password: SecretStr | None = Field(default=None, min_length=1)
    """Password for it."""
    resend_api_key: SecretStr | None = Field(default=None, min_length=1)
    """API key of Resend; required with `MAIL_PROVIDER=resend`."""
    resend_api_url: str = "https://api.resend.com"
    """Address of Resend's API."""
    alga_url: str | None = None
    """Where people sign in to Alga, like `https://alga.example.com`; required with a provider."""
    alga_secret_key: AlgasKey | None = None
    """Alga's own `SECRET_KEY`, at least 16 characters. With it the mail has a link, valid for 24 hours, by which its
    reader sets a password; without it the mail says that someone hands over the password."""

    @property
    def mails_have_links(self) -> bool:
        """Whether the recipient of a welcome mail can set a password by it."""
        return self.mail_provider != "none" and self.alga_secret_key is not None

    @property
    def smtp_address(self) -> tuple[str, int]:
        """Host and port of the mail server."""
        return self.smtp_host or "", PORTS[self.smtp_tls] if self.smtp_port is None else self.smtp_port

    @model_validator(mode="after")
    def _check_mail(self) -> Self:
        key = self.alga_secret_key.get_secret_value() if self.alga_secret_key is not None else None
        if key is not None and self.environment == "production" and len(key) < MIN_SECRET_LENGTH:
            raise ValueError(
                f"ALGA_SECRET_KEY has less than {MIN_SECRET_LENGTH} characters, so its signatures can be guessed; "
                "set a longer SECRET_KEY in Alga, and the same value here"
            )
        if self.alga_url is not None and not self._is_origin(self.alga_url):
            raise ValueError(
                "ALGA_URL: must be like https://alga.example.com, without a path; http is allowed on loopback or in "
                "development"
            )
        if not is_protected_url(self.resend_api_url, allow_http=False):
            raise ValueError("RESEND_API_URL: must be a URL with https; http is allowed on loopback")
        if (self.smtp_username is None) != (self.smtp_password is None):
            missing = "SMTP_USERNAME" if self.smtp_username is None else "SMTP_PASSWORD"
            raise ValueError(f"{missing} is not set: a user name needs its password, and a password its user name")
        if self.smtp_username is not None and self.smtp_tls == "none" and not is_loopback(self.smtp_host or ""):
            raise ValueError("SMTP_TLS is none, so SMTP_PASSWORD would be sent in clear; use starttls or implicit")
        if self.smtp_ca_file is not None:
            try:
                check_authorities(self.smtp_ca_file)
            except TlsFileError as error:
                raise ValueError(f"SMTP_CA_FILE: {error}") from None
        if self.mail_provider == "none":
            return self
        needed = ["mail_from", "alga_url", "smtp_host" if self.mail_provider == "smtp" else "resend_api_key"]
        if unset := [name for name in needed if getattr(self, name) is None]:
            reason = f"MAIL_PROVIDER={self.mail_provider} needs it"
            lines = [f"{name.upper()} is not set; {reason}: {self.description(name)}" for name in unset]
            raise ValueError("\n".join(lines))
        return self

    def _is_origin(self, url: str) -> bool:
        is_plain = re.fullmatch(r"https?://[^/?\\\s]+/?", url) is not None
        return is_plain and is_protected_url(url, allow_http=self.environment == "development")
