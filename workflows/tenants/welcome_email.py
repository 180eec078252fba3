"""The workflow that sends a welcome mail again, under the name that Alga's client uses."""

from typing import Any
from uuid import UUID

from pydantic import Field
from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from workflows.operations.messages import (
        Message,
        OperationContext,
        OperationInput,
        OperationRequest,
        ShownName,
    )
    from workflows.operations.retrying import run_locally
    from workflows.operations.texts import MAX_NAME_LENGTH, storable
    from workflows.operations.workflow import OperationWorkflow, nothing_to_prepare
    from workflows.tenants.ignored_fields import unknown_fields
    from workflows.tenants.steps import READ_RECIPIENT_ACTIVITY, RESEND_WORKFLOW, WELCOME_EMAIL


class WelcomeEmailRequest(OperationRequest):
    """Argument of the workflow; without a user, the mail goes to the tenant's first administrator.

    `tenant_name` is the gateway's. The last two fields are what Alga's client says of its caller, unverified.
    """

    tenant_id: UUID
    user_id: UUID | None = None
    tenant_name: str | None = None
    triggered_by: ShownName | None = None
    triggered_by_email: str | None = Field(default=None, repr=False)

    @property
    def parameters_shown(self) -> dict[str, Any]:
        """The fields of a snapshot that show what was requested."""
        parameters = self.model_dump(mode="json", include={"user_id", "triggered_by"}, exclude_none=True)
        if self.tenant_name is None or self.origin.requested_by is None:
            return {"parameters": parameters}
        return {"parameters": parameters, "tenant_name": storable(self.tenant_name, MAX_NAME_LENGTH)}


class WelcomeEmailInput(OperationInput):
    """Argument of `resend_welcome_email`."""

    request: WelcomeEmailRequest


class RecipientShown(Message):
    """Result of `read_welcome_recipient`, for Alga's client."""

    email: str = Field(repr=False)
    tenant_name: str = Field(repr=False)


@workflow.defn(name=RESEND_WORKFLOW)
class ResendWelcomeEmailWorkflow(OperationWorkflow[WelcomeEmailRequest]):
    """Sends the welcome mail again."""

    kind = WELCOME_EMAIL
    request_type = WelcomeEmailRequest

    @workflow.run
    async def run(self, argument: Any = None) -> dict[str, Any]:
        """Send the mail; a failure is raised for the gateway, and part of the result for Alga's client."""
        self.check_id()
        try:
            self.check_request()
            self._operation.progress.warn(*unknown_fields(WelcomeEmailRequest, argument))
            result = await self._operation.run(nothing_to_prepare, _transaction_input)
        except ApplicationError as error:
            if self.is_gateways:
                raise
            return {"success": False, "error": error.message}
        if self.is_gateways:
            return result
        argument = _transaction_input(self._operation.progress.context(), self._operation.request)
        try:
            recipient = await run_locally(READ_RECIPIENT_ACTIVITY, argument, RecipientShown)
        except FailureError:
            # The mail was sent all the same.
            return {"success": True}
        return {"success": True, **recipient.model_dump(mode="json")}


def _transaction_input(operation: OperationContext, request: WelcomeEmailRequest) -> WelcomeEmailInput:
    return WelcomeEmailInput(operation=operation, request=request)
