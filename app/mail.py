"""Builds what sends mails from the settings."""

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.mail.addresses import Mailbox
from activities.mail.links import AlgaSite
from activities.mail.rendering import load_templates
from activities.mail.resend import ResendApi, ResendTransport
from activities.mail.sending import WelcomeMails
from activities.mail.smtp import SmtpServer, SmtpTransport
from activities.mail.transport import Transport
from app.settings.mail import MailSettings


def mail_sender(settings: MailSettings) -> Mailbox:
    """Return the sender of all mails."""
    return Mailbox.parse(settings.mail_from or "noreply@localhost")


def alga_site(settings: MailSettings) -> AlgaSite:
    """Return Alga's addresses, and the key of its links."""
    key = settings.alga_secret_key
    return AlgaSite(settings.alga_url or "", key.get_secret_value() if key is not None else None)


def mail_transport(settings: MailSettings) -> Transport | None:
    """Return what sends mails, or None if there is no provider."""
    if settings.mail_provider == "smtp":
        host, port = settings.smtp_address
        password = settings.smtp_password
        server = SmtpServer(
            host,
            port,
            greeting=mail_sender(settings).header.domain,
            tls=settings.smtp_tls,
            ca_file=settings.smtp_ca_file,
            username=settings.smtp_username,
            password=password.get_secret_value() if password is not None else None,
        )
        return SmtpTransport(server)
    if settings.mail_provider == "resend" and settings.resend_api_key is not None:
        return ResendTransport(ResendApi(settings.resend_api_url, settings.resend_api_key.get_secret_value()))
    return None


def welcome_mails(settings: MailSettings, engine: AsyncEngine) -> WelcomeMails | None:
    """Return what sends welcome mails, or None if there is no provider; raises `MailTemplateError`."""
    transport = mail_transport(settings)
    if transport is None:
        return None
    templates = load_templates(settings.mail_templates_dir)
    return WelcomeMails(engine, transport, templates, alga_site(settings), mail_sender(settings))
