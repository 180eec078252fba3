"""The activities that send a welcome mail again, for an operation of its own."""

import asyncio
import math

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.audit.trail import AuditTrail
from activities.database.transactions import Transactions
from activities.errors import FinalError, activity_errors, local_only, temporal_errors
from activities.mail.activities import MAIL_NOT_CONFIGURED
from activities.mail.claims import RequestedMail, next_allowed
from activities.mail.recipients import Recipient, find_recipient
from activities.mail.sending import WelcomeMails
from activities.mail.transport import unavailable
from activities.operations.rows import OperationRow
from activities.operations.step_clock import StepClock
from workflows.operations.failures import OPERATION_CLOSED
from workflows.operations.messages import Committed, OperationContext
from workflows.tenants.steps import (
    READ_RECIPIENT_ACTIVITY,
    RESEND_ACTIVITY,
    SEND_WELCOME_EMAIL,
    VALIDATE,
    WELCOME_EMAIL,
)
from workflows.tenants.welcome_email import RecipientShown, WelcomeEmailInput

TOO_MANY_MAILS = "too-many-mails"

# A slow mail server must not take the slots of local activities from creations.
MAX_AT_ONCE = 2


class ResendingActivities:
    """Send welcome mails again; `mails` is None if no provider is configured."""

    def __init__(self, engine: AsyncEngine, audit: AuditTrail, mails: WelcomeMails | None) -> None:
        self._engine = engine
        self._transactions = Transactions(engine)
        self._audit = audit
        self._mails = mails
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)

    @activity.defn(name=RESEND_ACTIVITY)
    @local_only
    async def resend_welcome_email(self, given: WelcomeEmailInput) -> Committed:
        """Send the mail to an administrator, and commit the operation once it was sent.

        A second run sends nothing if the first one noted that it had sent. Raises `ApplicationError`, whose details
        name the step; nothing was sent then, or the next attempt sends it again.
        """
        steps = StepClock(given.operation)
        with activity_errors(RESEND_ACTIVITY, lambda: steps.current):
            return await self._resend(given, steps)

    @activity.defn(name=READ_RECIPIENT_ACTIVITY)
    @local_only
    @temporal_errors
    async def read_recipient(self, given: WelcomeEmailInput) -> RecipientShown:
        """Return who got the mail; raises `ApplicationError`."""
        async with self._engine.connect() as connection:
            recipient = await find_recipient(connection, given.operation.tenant_id, given.request.user_id)
        return RecipientShown(email=recipient.email, tenant_name=recipient.tenant_name)

    async def _resend(self, given: WelcomeEmailInput, steps: StepClock) -> Committed:
        context = given.operation
        with steps.run(VALIDATE):
            async with self._engine.begin() as connection:
                row = OperationRow(connection, context)
                locked = await row.ensure_locked()
                if locked.committed is not None:
                    return locked.committed
                await row.check_open(locked)
                recipient = await find_recipient(connection, context.tenant_id, given.request.user_id)
                requested = _requested(context, recipient)
                await _refuse_too_many(connection, requested)
                await self._audit.append_once(connection, row.request_events)
            if self._mails is None:
                raise FinalError(MAIL_NOT_CONFIGURED, "no mail can be sent: set MAIL_PROVIDER for the worker")
        with steps.run(SEND_WELCOME_EMAIL):
            if self._slots.locked():
                raise unavailable("this worker is sending other mails")
            async with self._slots:
                await self._mails.send(requested, recipient)
        committed = steps.committed({"tenantId": str(recipient.tenant_id), "userId": str(recipient.user_id)})
        async with self._transactions.begin() as transaction:
            row = OperationRow(transaction.connection, context)
            if (await row.ensure_locked()).has_ended:
                raise FinalError(OPERATION_CLOSED, "the operation was ended while it sent the mail")
            transaction.run_with_commit(row.commit_statement(committed, is_cancellable=False))
        return committed


async def _refuse_too_many(connection: AsyncConnection, requested: RequestedMail) -> None:
    wait = await next_allowed(connection, requested.tenant_id, requested.kind, besides=requested.id)
    if wait is not None:
        seconds = math.ceil(wait.total_seconds())
        raise FinalError(TOO_MANY_MAILS, f"the tenant had too many welcome mails; retry in {seconds} s")


def _requested(context: OperationContext, recipient: Recipient) -> RequestedMail:
    return RequestedMail(
        kind=WELCOME_EMAIL.name,
        workflow_id=context.workflow_id,
        run_id=context.run_id,
        tenant_id=recipient.tenant_id,
        user_id=recipient.user_id,
    )
