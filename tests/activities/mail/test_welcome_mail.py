"""The welcome mail of a creation: to whom, when, and how often."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.mail.activities import MAIL_NOT_CONFIGURED, WelcomeMailActivities
from activities.mail.claims import CLAIM_LIFETIME, MAIL_IN_PROGRESS
from activities.mail.recipients import DUPLICATE_EMAIL, NO_ADMINISTRATOR, TENANT_SUSPENDED
from activities.mail.resend import ResendApi, ResendTransport
from activities.mail.transport import MAIL_REFUSED, MAIL_UNAVAILABLE, Mail, Transport
from activities.operations.follow_ups import NOT_COMMITTED
from activities.tenants.admin_user import admin_user_id
from tests.activities.conftest import ON_ONE_SHAPE
from tests.activities.mail.conftest import KEY, URL, Creation, Sending
from tests.activities.mail.test_links import verified
from tests.support.servers.mail import MailServer, ResendServer, html_of, text_of
from workflows.operations.messages import FollowUpInput

pytestmark = [pytest.mark.anyio, ON_ONE_SHAPE]


def link_in(message: EmailMessage) -> str:
    (link,) = (word for word in text_of(message).split() if "token=" in word)
    return link


async def row_of(database: asyncpg.Connection, given: FollowUpInput) -> dict[str, Any]:
    query = "SELECT * FROM alga_tenants.mails WHERE workflow_id = $1"
    return dict(await database.fetchrow(query, given.operation.workflow_id))


async def refusal(welcome: WelcomeMailActivities, given: FollowUpInput) -> ApplicationError:
    with pytest.raises(ApplicationError) as refused:
        await welcome.send_welcome_email(given)
    return refused.value


async def test_the_administrator_gets_a_mail_with_a_link_that_alga_accepts(
    welcome: WelcomeMailActivities, created: Creation, mail_server: MailServer, database: asyncpg.Connection
) -> None:
    given = await created(tenantName="Bravo", companyName="Bravo & Söhne")
    await welcome.send_welcome_email(given)
    (message,) = mail_server.received
    email = f"ada-{given.operation.tenant_id}@acme.example"
    assert mail_server.recipients == [email]
    assert message["Subject"] == "Choose your password for Bravo & Söhne in Alga PSA"
    link = link_in(message)
    assert link in html_of(message).replace("&amp;", "&")
    assert link.startswith(f"{URL}/auth/password-reset/set-new-password?")
    claims = verified(parse_qs(urlsplit(link).query)["token"][0], KEY, datetime.now(UTC))
    assert (claims["email"], claims["user_type"]) == (email, "internal")
    row = await row_of(database, given)
    assert (row["provider"], row["sent_as"]) == ("smtp", message["Message-ID"])
    assert row["user_id"] == admin_user_id(given.operation.tenant_id)
    assert email not in str(row)
    assert link.partition("token=")[2] not in str(row)


async def test_a_repeated_attempt_sends_nothing(
    welcome: WelcomeMailActivities, created: Creation, mail_server: MailServer
) -> None:
    given = await created()
    for _ in range(3):
        await welcome.send_welcome_email(given)
    assert len(mail_server.received) == 1


async def test_the_product_decides_the_text(
    welcome: WelcomeMailActivities, created: Creation, mail_server: MailServer
) -> None:
    await welcome.send_welcome_email(await created(productCode="algadesk"))
    assert "AlgaDesk" in mail_server.received[0]["Subject"]


async def test_without_algas_key_the_mail_has_no_link(
    engine: AsyncEngine, sending: Sending, created: Creation, mail_server: MailServer
) -> None:
    await WelcomeMailActivities(engine, sending(secret_key=None)).send_welcome_email(await created())
    text = text_of(mail_server.received[0])
    assert "Alga will give it to you in another way" in text
    assert "token=" not in text


async def test_what_the_input_says_of_tenant_and_address_does_not_count(
    welcome: WelcomeMailActivities, created: Creation, mail_server: MailServer
) -> None:
    given, other = await created(), await created()
    result = {"tenantId": str(other.operation.tenant_id), "adminUserId": str(uuid4())}
    snapshot = given.operation.snapshot.model_copy(
        update={"tenant_id": other.operation.tenant_id, "result": result, "committed_at": datetime.now(UTC)}
    )
    forged = FollowUpInput(
        operation=given.operation.showing(snapshot),
        request={"tenantName": "Evil", "adminUser": {"email": "eve@evil.example", "firstName": "Eve"}},
    )
    await welcome.send_welcome_email(forged)
    assert mail_server.recipients == [f"ada-{given.operation.tenant_id}@acme.example"]
    assert "Evil" not in str(mail_server.received[0])


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM alga_tenants.operations WHERE workflow_id = $1",
        "UPDATE alga_tenants.operations SET committed_at = NULL WHERE workflow_id = $1",
        "UPDATE alga_tenants.operations SET finished_at = now() WHERE workflow_id = $1",
        "UPDATE alga_tenants.operations SET kind = 'tenant_export' WHERE workflow_id = $1",
    ],
    ids=["unknown", "not committed", "ended", "of another kind"],
)
async def test_only_an_open_creation_that_is_committed_gets_a_mail(
    welcome: WelcomeMailActivities,
    created: Creation,
    mail_server: MailServer,
    database: asyncpg.Connection,
    change: str,
) -> None:
    given = await created()
    await database.execute(change, given.operation.workflow_id)
    refused = await refusal(welcome, given)
    assert (refused.type, refused.non_retryable) == (NOT_COMMITTED, True)
    assert mail_server.received == []


async def test_a_creation_that_skips_the_mail_gets_none(
    welcome: WelcomeMailActivities, created: Creation, mail_server: MailServer
) -> None:
    assert (await refusal(welcome, await created(skipWelcomeEmail=True))).type == NOT_COMMITTED
    assert mail_server.received == []


async def test_a_worker_without_a_provider_says_so(engine: AsyncEngine, created: Creation) -> None:
    assert (await refusal(WelcomeMailActivities(engine, None), await created())).type == MAIL_NOT_CONFIGURED


@pytest.mark.parametrize(("reply", "code"), [("451 later", MAIL_UNAVAILABLE), ("550 no", MAIL_REFUSED)])
async def test_an_attempt_after_a_failed_one_sends_at_once(
    welcome: WelcomeMailActivities, created: Creation, mail_server: MailServer, reply: str, code: str
) -> None:
    given = await created()
    accept, mail_server.reply = mail_server.reply, lambda _: reply
    assert (await refusal(welcome, given)).type == code
    mail_server.reply = accept
    await welcome.send_welcome_email(given)
    assert len(mail_server.received) == 1


async def test_two_attempts_do_not_send_at_the_same_time(
    welcome: WelcomeMailActivities, created: Creation, database: asyncpg.Connection, mail_server: MailServer
) -> None:
    given = await created()
    await welcome.send_welcome_email(given)
    await database.execute(
        "UPDATE alga_tenants.mails SET sent_at = NULL WHERE tenant_id = $1", given.operation.tenant_id
    )
    refused = await refusal(welcome, given)
    assert (refused.type, refused.non_retryable) == (MAIL_IN_PROGRESS, False)
    assert len(mail_server.received) == 1


async def test_the_mail_of_a_dead_attempt_is_sent_again_unchanged(
    welcome: WelcomeMailActivities, created: Creation, database: asyncpg.Connection, mail_server: MailServer
) -> None:
    given = await created()
    await welcome.send_welcome_email(given)
    await forget(database, given)
    await welcome.send_welcome_email(given)
    first, second = mail_server.received
    assert first["Message-ID"] == second["Message-ID"]
    assert text_of(first) == text_of(second)


async def test_a_late_attempt_makes_a_link_that_is_valid_for_a_day_from_then(
    welcome: WelcomeMailActivities, created: Creation, database: asyncpg.Connection
) -> None:
    given = await created()
    await welcome.send_welcome_email(given)
    await forget(database, given)
    earlier = "UPDATE alga_tenants.mails SET issued_at = issued_at - interval '2 hours' WHERE tenant_id = $1"
    await database.execute(earlier, given.operation.tenant_id)
    await welcome.send_welcome_email(given)
    assert (await row_of(database, given))["issued_at"] > datetime.now(UTC) - timedelta(hours=1)


async def forget(database: asyncpg.Connection, given: FollowUpInput) -> None:
    """Let the row look as if the worker had died after it sent the mail and before it noted that."""
    await database.execute(
        "UPDATE alga_tenants.mails SET sent_at = NULL, claimed_at = claimed_at - $2::interval WHERE tenant_id = $1",
        given.operation.tenant_id,
        CLAIM_LIFETIME,
    )


async def test_resend_recognises_the_mail_of_a_dead_attempt(
    engine: AsyncEngine, sending: Sending, created: Creation, database: asyncpg.Connection
) -> None:
    with ResendServer("re_key") as server:
        welcome = WelcomeMailActivities(engine, sending(ResendTransport(ResendApi(server.url, "re_key"))))
        given = await created()
        await welcome.send_welcome_email(given)
        await forget(database, given)
        await welcome.send_welcome_email(given)
    assert (server.requests, len(server.mails)) == (2, 1)
    assert (await row_of(database, given))["sent_as"] == "resend-1"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("UPDATE users SET is_inactive = true WHERE tenant = $1", NO_ADMINISTRATOR),
        ("UPDATE users SET user_type = 'client' WHERE tenant = $1", NO_ADMINISTRATOR),
        ("UPDATE roles SET msp = false, client = true WHERE tenant = $1 AND msp", NO_ADMINISTRATOR),
        ("DELETE FROM user_roles WHERE tenant = $1", NO_ADMINISTRATOR),
        (
            "UPDATE tenants SET suspended_at = now(), suspended_reason = 'tenant_cancelled' WHERE tenant = $1",
            TENANT_SUSPENDED,
        ),
    ],
)
async def test_only_an_active_administrator_gets_a_link(
    welcome: WelcomeMailActivities, created: Creation, database: asyncpg.Connection, change: str, code: str
) -> None:
    given = await created()
    await database.execute(change, given.operation.tenant_id)
    refused = await refusal(welcome, given)
    assert (refused.type, refused.non_retryable) == (code, True)


async def test_no_link_is_sent_if_alga_could_take_it_for_another_user(
    welcome: WelcomeMailActivities, created: Creation, database: asyncpg.Connection, mail_server: MailServer
) -> None:
    given, other = await created(), await created()
    query = "UPDATE users SET email = (SELECT upper(email) FROM users WHERE tenant = $1) WHERE tenant = $2"
    await database.execute(query, given.operation.tenant_id, other.operation.tenant_id)
    assert (await refusal(welcome, given)).type == DUPLICATE_EMAIL
    assert mail_server.received == []


@dataclass(frozen=True)
class Quoting:
    """A provider that fails, and quotes all of the mail."""

    name: str = "quoting"

    async def send(self, mail: Mail) -> str:
        raise RuntimeError(f"{mail.content.text} {mail.recipient.address}")

    async def check(self) -> str:
        return self.name


async def test_no_error_quotes_the_mail(engine: AsyncEngine, sending: Sending, created: Creation) -> None:
    transport: Transport = Quoting()
    refused = await refusal(WelcomeMailActivities(engine, sending(transport)), await created())
    assert refused.type == "internal-error"
    shown = str(refused) + repr(refused.details)
    assert not [secret for secret in ("token=", "ada-") if secret in shown]
