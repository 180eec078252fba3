"""The activity that sends a welcome mail again, on the rows that it writes."""

from datetime import UTC, datetime
from email.message import EmailMessage
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.mail.activities import MAIL_NOT_CONFIGURED
from activities.mail.resending import ResendingActivities
from app.embedded.processes.blocking import run_blocking
from tests.activities.conftest import ON_ONE_SHAPE, RUN
from tests.activities.mail.conftest import Creation, Sending
from tests.support.audit import AUDIT
from tests.support.servers.mail import ACCEPTED, MailServer
from workflows.operations.kinds import initial_snapshot
from workflows.operations.messages import OperationContext
from workflows.tenants.steps import WELCOME_EMAIL
from workflows.tenants.welcome_email import WelcomeEmailInput, WelcomeEmailRequest

pytestmark = [pytest.mark.anyio, ON_ONE_SHAPE]


@pytest.fixture
def resending(engine: AsyncEngine, sending: Sending) -> ResendingActivities:
    return ResendingActivities(engine, AUDIT, sending())


@pytest.fixture
async def tenant_id(created: Creation, database: asyncpg.Connection) -> UUID:
    """A tenant whose creation has ended."""
    given = await created()
    ended = "UPDATE alga_tenants.operations SET finished_at = now() WHERE tenant_id = $1"
    await database.execute(ended, given.operation.tenant_id)
    found: UUID = given.operation.tenant_id
    return found


def asking(tenant_id: UUID, user_id: UUID | None = None) -> WelcomeEmailInput:
    snapshot = initial_snapshot(WELCOME_EMAIL).model_copy(
        update={"tenant_id": tenant_id, "started_at": datetime.now(UTC)}
    )
    context = OperationContext(workflow_id=WELCOME_EMAIL.workflow_id(uuid4()), run_id=RUN, snapshot=snapshot)
    return WelcomeEmailInput(operation=context, request=WelcomeEmailRequest(tenant_id=tenant_id, user_id=user_id))


async def test_a_second_run_sends_nothing_and_returns_the_same(
    resending: ResendingActivities, tenant_id: UUID, mail_server: MailServer
) -> None:
    given = asking(tenant_id)
    first = await resending.resend_welcome_email(given)
    assert await resending.resend_welcome_email(given) == first
    assert len(mail_server.received) == 1


async def test_a_cancel_while_the_mail_is_sent_comes_too_late(
    resending: ResendingActivities, tenant_id: UUID, mail_server: MailServer, database_url: str
) -> None:
    given = asking(tenant_id)

    async def cancel() -> None:
        connection = await asyncpg.connect(database_url)
        query = "INSERT INTO alga_tenants.cancellations (workflow_id, run_id) VALUES ($1, $2)"
        await connection.execute(query, given.operation.workflow_id, RUN)
        await connection.close()

    def cancel_and_accept(_: EmailMessage) -> str:
        run_blocking(cancel())
        return ACCEPTED

    mail_server.reply = cancel_and_accept
    committed = await resending.resend_welcome_email(given)
    assert committed.result["tenantId"] == str(tenant_id)
    assert len(mail_server.received) == 1


async def test_a_cancel_before_it_sends_nothing(
    resending: ResendingActivities, tenant_id: UUID, mail_server: MailServer, database: asyncpg.Connection
) -> None:
    given = asking(tenant_id)
    query = "INSERT INTO alga_tenants.cancellations (workflow_id, run_id) VALUES ($1, $2)"
    await database.execute(query, given.operation.workflow_id, RUN)
    with pytest.raises(ApplicationError) as refused:
        await resending.resend_welcome_email(given)
    assert (refused.value.type, mail_server.received) == ("cancel-requested", [])


async def test_only_one_operation_of_a_tenant_is_open(
    resending: ResendingActivities, created: Creation, mail_server: MailServer
) -> None:
    given = await created()
    with pytest.raises(ApplicationError) as refused:
        await resending.resend_welcome_email(asking(given.operation.tenant_id))
    assert (refused.value.type, mail_server.received) == ("operation-in-progress", [])


async def test_a_worker_without_a_provider_says_what_to_set(engine: AsyncEngine, tenant_id: UUID) -> None:
    with pytest.raises(ApplicationError, match="set MAIL_PROVIDER for the worker") as refused:
        await ResendingActivities(engine, AUDIT, None).resend_welcome_email(asking(tenant_id))
    assert refused.value.type == MAIL_NOT_CONFIGURED
