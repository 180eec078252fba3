"""The activity that sends the welcome mail of a creation."""

from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.customers.portal_user import awaits_password
from activities.errors import FinalError, temporal_errors
from activities.mail.claims import RequestedMail
from activities.mail.recipients import find_recipient
from activities.mail.sending import WelcomeMails
from activities.operations.follow_ups import pending_step
from workflows.operations.messages import FollowUpInput, OperationContext, StepDone
from workflows.tenants.request import OperationResult
from workflows.tenants.steps import SEND_WELCOME_EMAIL, TENANT_CREATION

MAIL_NOT_CONFIGURED = "mail-not-configured"


class WelcomeMailActivities:
    """Send welcome mails; `mails` is None if no provider is configured. The management tenant has portal users."""

    def __init__(
        self, engine: AsyncEngine, mails: WelcomeMails | None, management_tenant: UUID | None = None
    ) -> None:
        self._engine = engine
        self._mails = mails
        self._management_tenant = management_tenant

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
            if (owner := self._management_tenant) is not None and await awaits_password(
                connection, owner, requested.tenant_id, recipient.email
            ):
                recipient = replace(recipient, awaits_portal_password=True)
        await self._mails.send(requested, recipient)
        return StepDone()


async def _requested(connection: AsyncConnection, context: OperationContext) -> RequestedMail:
    """Return the mail that the row of an open, committed creation asks for; raises `FinalError` if there is none."""
    snapshot = await pending_step(connection, context, TENANT_CREATION, SEND_WELCOME_EMAIL)
    created = OperationResult.model_validate(snapshot.result)
    return RequestedMail(
        kind=snapshot.kind,
        workflow_id=context.workflow_id,
        run_id=context.run_id,
        tenant_id=created.tenant_id,
        user_id=created.admin_user_id,
    )
