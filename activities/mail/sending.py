"""Sends a welcome mail once, however often it is attempted."""

from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.email_addresses import EmailAddressError, normalised_email
from activities.errors import FinalError
from activities.mail.addresses import Mailbox, visible
from activities.mail.claims import RequestedMail, claim, mark_sent, release
from activities.mail.links import LIFETIME, AlgaSite
from activities.mail.recipients import Recipient
from activities.mail.rendering import MailTemplateError, MailTemplates, Welcome
from activities.mail.transport import Mail, Transport, refused

MAIL_TEMPLATE_BROKEN = "mail-template-broken"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class WelcomeMails:
    """Composes and sends welcome mails."""

    engine: AsyncEngine
    transport: Transport
    templates: MailTemplates
    site: AlgaSite
    sender: Mailbox

    async def send(self, requested: RequestedMail, recipient: Recipient) -> None:
        """Send the mail unless it was sent before.

        If the process dies after the mail was accepted and before that was noted, the next attempt sends it again.
        Raises `FinalError` or `ApplicationError`, which hold nothing of the mail.
        """
        async with self.engine.begin() as connection:
            issued_at = await claim(connection, requested)
        if issued_at is None:
            return
        try:
            sent_as = await self._send(requested, recipient, issued_at)
        except Exception:
            async with self.engine.begin() as connection:
                await release(connection, requested)
            raise
        async with self.engine.begin() as connection:
            await mark_sent(connection, requested, provider=self.transport.name, sent_as=sent_as)
        log.info("mail sent", mail=str(requested.id), kind=requested.kind, provider=self.transport.name)

    async def _send(self, requested: RequestedMail, recipient: Recipient, issued_at: datetime) -> str:
        link, portal_link = self.site.password_link(recipient.email, issued_at), None
        if recipient.awaits_portal_password:
            portal_link = self.site.password_link(recipient.email.lower(), issued_at, "client")
        welcome = Welcome(
            product_code=recipient.product_code,
            tenant_name=recipient.tenant_name,
            first_name=recipient.first_name or recipient.last_name or recipient.email,
            last_name=recipient.last_name,
            email=recipient.email,
            sender_name=self.sender.shown_name,
            sign_in_url=self.site.sign_in_url,
            forgot_password_url=self.site.forgot_password_url,
            password_link=link,
            portal_link=portal_link,
            portal_url=self.site.portal_url,
            link_expires_at=issued_at + LIFETIME if link is not None else None,
        )
        name = visible(f"{recipient.first_name} {recipient.last_name}")
        try:
            content = self.templates.welcome(welcome)
            mail = Mail(requested.id, self.sender, Mailbox(normalised_email(recipient.email), name), content)
        except MailTemplateError as error:
            raise FinalError(MAIL_TEMPLATE_BROKEN, str(error)) from None
        except EmailAddressError:
            raise refused("the administrator's e-mail address is not valid") from None
        return await self.transport.send(mail)
