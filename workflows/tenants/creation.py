"""The workflow that creates a tenant, under the two names that Alga's client uses."""

from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from workflows.operations.failures import INVALID_REQUEST, OPERATION_ENDING, refusal
    from workflows.operations.kinds import KINDS, is_storable_id
    from workflows.operations.lifecycle import Lifecycle
    from workflows.operations.messages import Cancellation, OperationError, ParameterChanges, ParameterUpdate
    from workflows.operations.parameters import first_fault, parse_signal
    from workflows.operations.retrying import run_locally
    from workflows.tenants.ignored_fields import ignored_product, unknown_fields
    from workflows.tenants.request import (
        PasswordHash,
        PasswordInput,
        ProvisionInput,
        TenantCreationInput,
        TenantCreationResult,
        for_product,
        parse_request,
    )
    from workflows.tenants.steps import (
        ALGADESK_TENANT_CREATION_WORKFLOW,
        HASH_PASSWORD_ACTIVITY,
        SEND_WELCOME_EMAIL,
        TENANT_CREATION,
        TENANT_CREATION_WORKFLOW,
        TRACK_CUSTOMER,
    )


class TenantCreation:
    """The workflow of both types.

    Arguments are untyped: if one could not be decoded into its type, the SDK would retry the workflow task for ever,
    or log the argument, which may hold a password.
    """

    product_code: str | None = None

    # Parses the request, and not run, because a change of a parameter may arrive together with the start.
    @workflow.init
    def __init__(self, argument: Any = None) -> None:
        self._operation: Lifecycle[TenantCreationInput] = Lifecycle(TENANT_CREATION)
        self._fault: OperationError | None = None
        try:
            request = parse_request(argument, self.product_code)
        except ValidationError as error:
            field, detail = first_fault(error)
            self._fault = OperationError(code=INVALID_REQUEST, detail=detail, field=field)
        else:
            if request.tenant_id is None:
                request = request.model_copy(update={"tenant_id": workflow.uuid4()})
            self._operation.accept(request)
            read = for_product(argument, self.product_code)
            ignored = unknown_fields(TenantCreationInput, read) + ignored_product(argument, self.product_code)
            self._operation.progress.warn(*ignored)
        self._refused_id = self._refuse_id(workflow.info().workflow_id)

    async def create(self) -> TenantCreationResult:
        """Provision the tenant in one transaction, then run the steps that follow."""
        if self._refused_id is not None:
            # Nothing is published: the id is another operation's, or no row can have it.
            raise refusal(INVALID_REQUEST, self._refused_id)
        if self._fault is not None:
            raise self._operation.fail(self._fault)
        result = await self._operation.run(
            self._hash_password, lambda operation, request: ProvisionInput(operation=operation, request=request)
        )
        return TenantCreationResult.model_validate({**result, "emailSent": self._is_email_sent})

    @property
    def _is_email_sent(self) -> bool:
        return self._operation.progress.snapshot.has_completed(SEND_WELCOME_EMAIL)

    @property
    def _is_refused(self) -> bool:
        return self._fault is not None or self._refused_id is not None

    def _refuse_id(self, workflow_id: str) -> str | None:
        """Return why the workflow must not have its id, or None."""
        if not is_storable_id(workflow_id):
            return "the workflow's id must not hold NUL characters"
        if KINDS.is_own_id(workflow_id) and self._operation.progress.snapshot.requested_by is None:
            return "workflow ids of this form are chosen by the gateway; use one of another form"
        return None

    async def _hash_password(self) -> None:
        """Replace a plaintext password, or a missing one, by a hash."""
        request = self._operation.request
        admin = request.admin_user
        if admin.password_hash is not None:
            return
        given = PasswordInput(password=admin.password, skip_welcome_email=request.skip_welcome_email)
        hashed = await run_locally(HASH_PASSWORD_ACTIVITY, given, PasswordHash)
        admin = admin.model_copy(update={"password": None, "password_hash": hashed.password_hash})
        self._operation.accept(request.model_copy(update={"admin_user": admin}))

    @workflow.signal(name="cancel")
    def cancel(self, argument: Any = None) -> None:
        """Cancel the operation before its commit, by a `Cancellation`; a later cancel becomes a warning."""
        self._operation.request_cancel(parse_signal(Cancellation, argument) or Cancellation())

    @workflow.signal(name="resume")
    def resume(self, argument: Any = None) -> None:  # noqa: ARG002 - kept in the history
        """Make the next attempt at once if the operation waits for it or for an operator."""
        self._operation.request_resume()

    @workflow.update(name="change_parameters", unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    async def change_parameters(self, request: ParameterChanges) -> None:
        """Change parameters before the commit, all or none; a waiting operation makes its next attempt at once."""
        await self._operation.change(request.changes, request.origin)

    @change_parameters.validator
    def _check_changes(self, request: ParameterChanges) -> None:
        if self._is_refused or self._operation.is_ending:
            raise refusal(OPERATION_ENDING, "the operation is committed or ending")
        self._operation.changed(request.changes)

    @workflow.signal(name="update", unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    async def update(self, argument: Any = None) -> None:
        """Change a parameter before the commit, by a `ParameterUpdate`; a rejected update is logged."""
        update = parse_signal(ParameterUpdate, argument)
        if update is None or self._is_refused:
            workflow.logger.warning("update signal refused: nothing to change")
            return
        try:
            await self._operation.change({update.field: update.value})
        except ApplicationError as error:
            workflow.logger.warning("update signal refused: %s", error)

    @workflow.query(name="getState")
    def get_state(self) -> dict[str, Any]:
        """Return the state in the terms of Alga's client."""
        progress = self._operation.progress
        if not progress.is_committed:
            return progress.wire_state()
        return {**progress.wire_state(), "emailSent": self._is_email_sent, **self._customer_state}

    @property
    def _customer_state(self) -> dict[str, Any]:
        """What Alga's client reads of the customer, once there is something to say."""
        snapshot = self._operation.progress.snapshot
        known = (snapshot.result or {}).get("customerTracking")
        failed = [warning.detail for warning in snapshot.warnings if warning.step == TRACK_CUSTOMER]
        if known is None and failed:
            known = {"clientError": failed[0]}
        return {"customerTracking": known} if known is not None else {}


@workflow.defn(name=TENANT_CREATION_WORKFLOW)
class TenantCreationWorkflow(TenantCreation):
    """Creates a tenant for the product of the request."""

    @workflow.run
    async def run(self, argument: Any = None) -> TenantCreationResult:  # noqa: ARG002 - read by __init__
        """Create the tenant; raises an `ApplicationError` whose type is the error's code."""
        return await self.create()


@workflow.defn(name=ALGADESK_TENANT_CREATION_WORKFLOW)
class AlgadeskTenantCreationWorkflow(TenantCreation):
    """Creates an algadesk tenant, whatever the product of the request."""

    product_code = "algadesk"

    @workflow.run
    async def run(self, argument: Any = None) -> TenantCreationResult:  # noqa: ARG002 - read by __init__
        """Create the tenant; raises an `ApplicationError` whose type is the error's code."""
        return await self.create()
