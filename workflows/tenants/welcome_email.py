"""The workflow that sends a welcome mail again, under the name that Alga's client uses."""

from typing import Any
from uuid import UUID

from pydantic import Field, ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from workflows.operations.failures import INVALID_REQUEST, refusal
    from workflows.operations.kinds import KINDS, is_storable_id
    from workflows.operations.lifecycle import Lifecycle
    from workflows.operations.messages import (
        Cancellation,
        Message,
        OperationContext,
        OperationError,
        OperationInput,
        OperationRequest,
        ShownName,
    )
    from workflows.operations.parameters import first_fault, parse_signal
    from workflows.operations.retrying import run_locally
    from workflows.operations.texts import MAX_NAME_LENGTH, storable
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
class ResendWelcomeEmailWorkflow:
    """Sends the welcome mail again.

    The argument is untyped, because the SDK would retry the workflow task for ever if it could not be decoded.
    """

    @workflow.init
    def __init__(self, argument: Any = None) -> None:
        self._operation: Lifecycle[WelcomeEmailRequest] = Lifecycle(WELCOME_EMAIL)
        self._fault: OperationError | None = None
        try:
            self._operation.accept(WelcomeEmailRequest.model_validate(argument))
            self._operation.progress.warn(*unknown_fields(WelcomeEmailRequest, argument))
        except ValidationError as error:
            field, detail = first_fault(error)
            self._fault = OperationError(code=INVALID_REQUEST, detail=detail, field=field)

    @workflow.run
    async def run(self, argument: Any = None) -> dict[str, Any]:
        """Send the mail; a failure is raised for the gateway, and part of the result for Alga's client."""
        is_own = self._operation.progress.snapshot.requested_by is not None
        workflow_id = workflow.info().workflow_id
        if not is_storable_id(workflow_id) or (KINDS.is_own_id(workflow_id) and not is_own):
            raise refusal(INVALID_REQUEST, "workflow ids of this form are chosen by the gateway; use another one")
        try:
            if self._fault is not None:
                raise self._operation.fail(self._fault)
            result = await self._operation.run(self._prepare, _transaction_input)
        except ApplicationError as error:
            if is_own:
                raise
            return {"success": False, "error": error.message}
        if is_own:
            return result
        argument = _transaction_input(self._operation.progress.context(), self._operation.request)
        try:
            recipient = await run_locally(READ_RECIPIENT_ACTIVITY, argument, RecipientShown)
        except FailureError:
            # The mail was sent all the same.
            return {"success": True}
        return {"success": True, **recipient.model_dump(mode="json")}

    async def _prepare(self) -> None:
        """Nothing has to be prepared."""

    @workflow.signal(name="cancel")
    def cancel(self, argument: Any = None) -> None:
        """Cancel the operation before the mail is sent, by a `Cancellation`."""
        self._operation.request_cancel(parse_signal(Cancellation, argument) or Cancellation())

    @workflow.signal(name="resume")
    def resume(self, argument: Any = None) -> None:  # noqa: ARG002 - kept in the history
        """Make the next attempt at once if the operation waits for it."""
        self._operation.request_resume()

    @workflow.query(name="getState")
    def get_state(self) -> dict[str, Any]:
        """Return the state in the terms of Alga's client."""
        return self._operation.progress.wire_state()


def _transaction_input(operation: OperationContext, request: WelcomeEmailRequest) -> WelcomeEmailInput:
    return WelcomeEmailInput(operation=operation, request=request)
