"""The workflow that creates a tenant, under the two names that Alga's client starts it by."""

from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from workflows.failures import OPERATION_ENDING, PARAMETER_REFUSED, PARAMETER_USED, StepFailedError
    from workflows.lifecycle import Lifecycle, OperationCancelledError
    from workflows.messages import (
        CancelRequest,
        OperationError,
        OperationResult,
        OperationStatus,
        ParameterChanges,
        ParameterUpdate,
        PasswordHash,
        PasswordInput,
        ResumeRequest,
        StepDone,
        TenantCreationInput,
        TenantCreationResult,
    )
    from workflows.parameters import ParameterRefusedError, parse_request
    from workflows.steps import (
        ALGADESK_TENANT_CREATION_WORKFLOW,
        HASH_PASSWORD_ACTIVITY,
        STEP_TIMEOUT,
        TENANT_CREATION,
        TENANT_CREATION_WORKFLOW,
        Step,
    )


# Workflows that began before took signals without asking the database.
FENCED_CHANGES_PATCH = "fenced-changes"


class TenantCreation:
    """What both workflow types do.

    The argument stays untyped, so that a malformed one is answered: one that can't be decoded into a type
    would fail the workflow task, which Temporal retries for ever.
    """

    product_code: str | None = None

    def __init__(self, argument: Any) -> None:
        self._operation = Lifecycle(TENANT_CREATION, tuple(Step))
        self._fault: OperationError | None = None
        # Here and not in run, because a change of a parameter may arrive together with the start.
        try:
            self._understand(argument)
        except ValidationError as error:
            self._fault = _invalid_request(error)

    async def create(self) -> TenantCreationResult:
        """Run the steps; on a final error or a cancel undo them all."""
        operation = self._operation
        if self._fault is not None:
            operation.progress.end(OperationStatus.FAILED, self._fault)
            raise operation.ending()
        try:
            return await operation.finish_uninterrupted(self._run_steps())
        except OperationCancelledError:
            problem = None
        except StepFailedError as failure:
            problem = failure.error
        completed = await operation.finish_uninterrupted(operation.roll_back(problem))
        if completed is None:
            raise operation.ending()
        return TenantCreationResult(**dict(completed))

    async def _run_steps(self) -> TenantCreationResult:
        run = self._operation.run_step
        await self._hash_password()
        await run(Step.INITIALIZING, StepDone)
        await run(Step.CREATING_TENANT, StepDone)
        await run(Step.RUNNING_ONBOARDING_SEEDS, StepDone)
        await run(Step.CREATING_ADMIN_USER, StepDone)
        await run(Step.SETTING_UP_DATA, StepDone)
        completed = await run(Step.COMPLETING, OperationResult)
        self._operation.progress.complete(completed)
        return TenantCreationResult(**dict(completed))

    def _understand(self, argument: Any) -> None:
        """Read the request in our terms.

        Raises:
            ValidationError: the argument lacks what a tenant needs.
        """
        request = parse_request(argument, self.product_code)
        if request.tenant_id is None:
            request = request.model_copy(update={"tenant_id": workflow.uuid4()})
        self._operation.accept(request)

    async def _hash_password(self) -> None:
        """Replace a plaintext password, or a missing one, by a hash, before anything else is done."""
        admin = self._understood.admin_user
        if admin.password_hash is not None:
            return
        hashed = await workflow.execute_local_activity(
            HASH_PASSWORD_ACTIVITY,
            PasswordInput(password=admin.password),
            result_type=PasswordHash,
            start_to_close_timeout=STEP_TIMEOUT,
        )
        admin = admin.model_copy(update={"password": None, "password_hash": hashed.password_hash})
        self._operation.request = self._understood.model_copy(update={"admin_user": admin})

    @property
    def _understood(self) -> TenantCreationInput:
        if self._operation.request is None:
            raise RuntimeError("the request is used although it could not be read")
        return self._operation.request

    @workflow.signal(name="cancel")
    def cancel(self, request: CancelRequest | None = None) -> None:
        """Ask for the operation to stop and be undone; has no effect once it is ending."""
        self._operation.request_cancel(request or CancelRequest())

    @workflow.signal(name="resume")
    def resume(self, request: ResumeRequest | None = None) -> None:  # noqa: ARG002 - who asked stays in the history
        """Try the step again that waits, for an operator or for its next try; has no effect on any other."""
        self._operation.request_resume()

    @workflow.update(name="change_parameters", unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    async def change_parameters(self, request: ParameterChanges) -> None:
        """Change parameters that no step has used yet, all or none; an operation that waits then goes on."""
        try:
            await self._operation.change(request.changes, request.origin)
        except ParameterRefusedError as refused:
            raise _refusal_of(refused) from None

    @change_parameters.validator
    def _check_changes(self, request: ParameterChanges) -> None:
        if self._fault is not None or self._operation.progress.is_stopping:
            raise _refusal("the operation is ending", None, OPERATION_ENDING)
        try:
            self._operation.changed(request.changes)
        except ParameterRefusedError as refused:
            raise _refusal_of(refused) from None

    @workflow.signal(name="update", unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    async def update(self, update: ParameterUpdate | None = None) -> None:
        """Change a parameter that no step has used yet; anything else is refused in the log."""
        if update is None or self._fault is not None:
            workflow.logger.warning("update signal refused: there is nothing to change")
            return
        changes = {update.field: update.value}
        try:
            if workflow.patched(FENCED_CHANGES_PATCH):
                await self._operation.change(changes)
            else:
                self._operation.request = self._operation.changed(changes)
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


def _refusal_of(refused: ParameterRefusedError) -> ApplicationError:
    return _refusal(str(refused), refused.field, PARAMETER_USED if refused.is_late else PARAMETER_REFUSED)


def _refusal(detail: str, field: str | None, code: str) -> ApplicationError:
    return ApplicationError(detail, field, type=code, non_retryable=True)


def _invalid_request(error: ValidationError) -> OperationError:
    # Never the input itself: it may hold a password.
    fault = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(part) for part in fault["loc"])
    return OperationError(
        code="invalid-request",
        detail=f"{field}: {fault['msg']}" if field else fault["msg"],
        field=field or None,
    )
