"""The activity that sends the welcome mail of a creation."""

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.errors import FinalError, temporal_errors
from activities.mail.claims import RequestedMail
from activities.mail.recipients import find_recipient
from activities.mail.sending import WelcomeMails
from activities.operations.queries import find_run
from workflows.operations.messages import FollowUpInput, OperationContext, StepDone
from workflows.tenants.request import OperationResult
from workflows.tenants.steps import SEND_WELCOME_EMAIL, TENANT_CREATION

MAIL_NOT_CONFIGURED = "mail-not-configured"
NOT_COMMITTED = "not-committed"


class WelcomeMailActivities:
    """Send welcome mails; `mails` is None if no provider is configured."""

    def __init__(self, engine: AsyncEngine, mails: WelcomeMails | None) -> None:
        self._engine = engine
        self._mails = mails

    @activity.defn(name=SEND_WELCOME_EMAIL)
    @temporal_errors
    async def send_welcome_email(self, given: FollowUpInput) -> StepDone:
        """Send the mail to the administrator that a committed creation has made; a second run sends nothing.

        Any client of Temporal can call this with any input. So the input only names the operation, and the database
        says everything else. Raises `ApplicationError`.
        """
        if self._mails is None:
            raise FinalError(MAIL_NOT_CONFIGURED, "MAIL_PROVIDER is none, so no mail was sent")
        async with self._engine.connect() as connection:
            requested = await _requested(connection, given.operation)
            recipient = await find_recipient(connection, requested.tenant_id, requested.user_id)
        await self._mails.send(requested, recipient)
        return StepDone()


async def _requested(connection: AsyncConnection, context: OperationContext) -> RequestedMail:
    """Return the mail that the row of an open, committed creation asks for; raises `FinalError` if there is none."""
    record = await find_run(connection, context.workflow_id, context.run_id)
    snapshot = record.snapshot if record is not None else None
    if (
        snapshot is None
        or snapshot.kind != TENANT_CREATION.name
        or snapshot.committed_at is None
        or snapshot.has_ended
        or not any(step.name == SEND_WELCOME_EMAIL and not step.is_done for step in snapshot.steps)
    ):
        raise FinalError(NOT_COMMITTED, "no creation that is committed and open asks for this mail")
    created = OperationResult.model_validate(snapshot.result)
    return RequestedMail(
        kind=snapshot.kind,
        workflow_id=context.workflow_id,
        run_id=context.run_id,
        tenant_id=created.tenant_id,
        user_id=created.admin_user_id,
    )
