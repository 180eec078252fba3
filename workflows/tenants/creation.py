"""The workflow that creates a tenant, under the two names that Alga's client starts it by."""

from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from workflows.operations.failures import INVALID_REQUEST, OPERATION_ENDING, PARAMETER_REFUSED
    from workflows.operations.kinds import KINDS, SINGLE_ATTEMPT, STEP_TIMEOUT, is_storable_id
    from workflows.operations.lifecycle import Lifecycle
    from workflows.operations.messages import (
        Cancellation,
        OperationContext,
        OperationError,
        ParameterChanges,
        ParameterUpdate,
    )
    from workflows.operations.parameters import ParameterRefusedError, heard
    from workflows.tenants.request import (
        PasswordHash,
        PasswordInput,
        ProvisionInput,
        TenantCreationInput,
        TenantCreationResult,
        parse_request,
    )
    from workflows.tenants.steps import (
        ALGADESK_TENANT_CREATION_WORKFLOW,
        HASH_PASSWORD_ACTIVITY,
        TENANT_CREATION,
        TENANT_CREATION_WORKFLOW,
    )


class TenantCreation:
    """What both workflow types do.

    Arguments stay untyped. One that can't be decoded into a type would fail the workflow task, which Temporal retries
    for ever, or would be written to the log by the SDK, with what may be a password.
    """

    product_code: str | None = None

    def __init__(self, argument: Any) -> None:
        self._operation: Lifecycle[TenantCreationInput] = Lifecycle(TENANT_CREATION)
        self._fault: OperationError | None = None
        # Here and not in run, because a change of a parameter may arrive together with the start.
        try:
            self._understand(argument)
        except ValidationError as error:
            self._fault = _invalid_request(error)
        self._refusal = self._refuse_id(workflow.info().workflow_id)

    async def create(self) -> TenantCreationResult:
        """Provision the tenant in one transaction, then do what follows it."""
        if self._refusal is not None:
            # Nothing is shown of it: the id is another operation's, or no row can have it.
            raise _refusal(self._refusal, None, INVALID_REQUEST)
        if self._fault is not None:
            raise self._operation.fail(self._fault)
        result = await self._operation.run(self._hash_password, _provision_input)
        return TenantCreationResult.model_validate(result)

    @property
    def _is_refused(self) -> bool:
        return self._fault is not None or self._refusal is not None

    def _understand(self, argument: Any) -> None:
        """Read the request in our terms.

        Raises:
            ValidationError: the argument lacks what a tenant needs.
        """
        request = parse_request(argument, self.product_code)
        if request.tenant_id is None:
            request = request.model_copy(update={"tenant_id": workflow.uuid4()})
        self._operation.accept(request)

    def _refuse_id(self, workflow_id: str) -> str | None:
        """Return why the workflow may not have its id, or None."""
        if not is_storable_id(workflow_id):
            return "the workflow's id must not hold NUL characters"
        if KINDS.is_own_id(workflow_id) and self._operation.progress.snapshot.requested_by is None:
            return "workflow ids of this form are chosen by the gateway; use one of another form"
        return None

    async def _hash_password(self) -> None:
        """Replace a plaintext password, or a missing one, by a hash, before anything else is done."""
        request = self._operation.request
        admin = request.admin_user
        if admin.password_hash is not None:
            return
        hashed = await workflow.execute_local_activity(
            HASH_PASSWORD_ACTIVITY,
            PasswordInput(password=admin.password),
            result_type=PasswordHash,
            start_to_close_timeout=STEP_TIMEOUT,
            retry_policy=SINGLE_ATTEMPT,
        )
        admin = admin.model_copy(update={"password": None, "password_hash": hashed.password_hash})
        self._operation.accept(request.model_copy(update={"admin_user": admin}))

    @workflow.signal(name="cancel")
    def cancel(self, argument: Any = None) -> None:
        """Ask for the operation to stop before its commit, by a `Cancellation`; after that it becomes a warning."""
        self._operation.request_cancel(heard(Cancellation, argument) or Cancellation())

    @workflow.signal(name="resume")
    def resume(self, argument: Any = None) -> None:  # noqa: ARG002 - who asked stays in the history
        """Make the next attempt at once if the operation waits for it, or for an operator; else do nothing."""
        self._operation.request_resume()

    @workflow.update(name="change_parameters", unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    async def change_parameters(self, request: ParameterChanges) -> None:
        """Change parameters before the commit, all or none; an operation that waits then goes on."""
        try:
            await self._operation.change(request.changes, request.origin)
        except ParameterRefusedError as refused:
            raise _refusal_of(refused) from None

    @change_parameters.validator
    def _check_changes(self, request: ParameterChanges) -> None:
        if self._is_refused or self._operation.is_ending:
            raise _refusal("the operation is committed or ending", None, OPERATION_ENDING)
        try:
            self._operation.changed(request.changes)
        except ParameterRefusedError as refused:
            raise _refusal_of(refused) from None

    @workflow.signal(name="update", unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    async def update(self, argument: Any = None) -> None:
        """Change a parameter before the commit, by a `ParameterUpdate`; anything else is refused in the log."""
        update = heard(ParameterUpdate, argument)
        if update is None or self._is_refused:
            workflow.logger.warning("update signal refused: there is nothing to change")
            return
        try:
            await self._operation.change({update.field: update.value})
        except (ParameterRefusedError, ApplicationError) as refusal:
            workflow.logger.warning("update signal refused: %s", refusal)

    @workflow.query(name="getState")
    def get_state(self) -> dict[str, Any]:
        """The state in the words of Alga's client, which expects unknown parts to be absent."""
        return self._operation.progress.wire_state().model_dump(mode="json", exclude_none=True)


@workflow.defn(name=TENANT_CREATION_WORKFLOW)
class TenantCreationWorkflow(TenantCreation):
    """Creates a tenant of the product that the request names."""

    @workflow.init
    def __init__(self, argument: Any = None) -> None:
        super().__init__(argument)

    @workflow.run
    async def run(self, argument: Any = None) -> TenantCreationResult:  # noqa: ARG002 - read by __init__
        """Create the tenant; fails with an `ApplicationError` whose type is the problem's code."""
        return await self.create()


@workflow.defn(name=ALGADESK_TENANT_CREATION_WORKFLOW)
class AlgadeskTenantCreationWorkflow(TenantCreation):
    """Creates an algadesk tenant, whatever product the request names."""

    product_code = "algadesk"

    @workflow.init
    def __init__(self, argument: Any = None) -> None:
        super().__init__(argument)

    @workflow.run
    async def run(self, argument: Any = None) -> TenantCreationResult:  # noqa: ARG002 - read by __init__
        """Create the tenant; fails with an `ApplicationError` whose type is the problem's code."""
        return await self.create()


def _provision_input(operation: OperationContext, request: TenantCreationInput) -> ProvisionInput:
    return ProvisionInput(operation=operation, request=request)


def _refusal_of(refused: ParameterRefusedError) -> ApplicationError:
    return _refusal(str(refused), refused.field, PARAMETER_REFUSED)


def _refusal(detail: str, field: str | None, code: str) -> ApplicationError:
    return ApplicationError(detail, field, type=code, non_retryable=True)


def _invalid_request(error: ValidationError) -> OperationError:
    # Never the input itself: it may hold a password.
    fault = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(part) for part in fault["loc"])
    return OperationError(
        code=INVALID_REQUEST,
        detail=f"{field}: {fault['msg']}" if field else fault["msg"],
        field=field or None,
    )
