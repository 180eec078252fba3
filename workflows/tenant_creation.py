"""The workflow that creates a tenant, under the two names that Alga's client starts it by."""

from typing import Any

from pydantic import ValidationError
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.failures import StepFailedError
    from workflows.lifecycle import Lifecycle, OperationCancelledError
    from workflows.messages import (
        CancelRequest,
        OperationError,
        OperationResult,
        ParameterUpdate,
        PasswordHash,
        PasswordInput,
        StepDone,
        TenantCreationInput,
        TenantCreationResult,
    )
    from workflows.parameters import ParameterRefusedError, apply_update, parse_request
    from workflows.steps import (
        ALGADESK_TENANT_CREATION_WORKFLOW,
        HASH_PASSWORD_ACTIVITY,
        STEP_TIMEOUT,
        TENANT_CREATION,
        TENANT_CREATION_WORKFLOW,
        Step,
    )


class TenantCreation:
    """What both workflow types do.

    The argument stays untyped, so that a malformed one is answered: one that can't be decoded into a type
    would fail the workflow task, which Temporal retries for ever.
    """

    product_code: str | None = None

    def __init__(self, argument: Any) -> None:
        self._argument = argument
        self._operation = Lifecycle(TENANT_CREATION, tuple(Step))
        self._request: TenantCreationInput | None = None
        self._early_updates: list[ParameterUpdate] = []

    async def create(self) -> TenantCreationResult:
        """Run the steps; on a final error or a cancel undo them all."""
        operation = self._operation
        try:
            self._understand()
        except ValidationError as error:
            operation.reject(_invalid_request(error))
            raise operation.ending() from None
        try:
            return await operation.finish_uninterrupted(self._run_steps())
        except OperationCancelledError:
            problem = None
        except StepFailedError as failure:
            problem = failure.error
        completed = await operation.finish_uninterrupted(operation.roll_back(self._understood, problem))
        if completed is None:
            raise operation.ending()
        return TenantCreationResult(**dict(completed))

    async def _run_steps(self) -> TenantCreationResult:
        run = self._operation.run_step
        await self._hash_password()
        await run(Step.INITIALIZING, self._understood, StepDone)
        await run(Step.CREATING_TENANT, self._understood, StepDone)
        await run(Step.RUNNING_ONBOARDING_SEEDS, self._understood, StepDone)
        await run(Step.CREATING_ADMIN_USER, self._understood, StepDone)
        await run(Step.SETTING_UP_DATA, self._understood, StepDone)
        completed = await run(Step.COMPLETING, self._understood, OperationResult)
        self._operation.complete(completed)
        return TenantCreationResult(**dict(completed))

    def _understand(self) -> None:
        """Read the request in our terms and apply the changes that arrived before it.

        Raises:
            ValidationError: the argument lacks what a tenant needs.
        """
        request = parse_request(self._argument, self.product_code)
        if request.tenant_id is None:
            request = request.model_copy(update={"tenant_id": workflow.uuid4()})
        self._request = request
        self._operation.accept(request)
        for update in self._early_updates:
            self._change_parameter(update)

    async def _hash_password(self) -> None:
        """Replace a plaintext password, or a missing one, by a hash, before anything else is done."""
        if self._understood.admin_user.password_hash is not None:
            return
        hashed = await workflow.execute_local_activity(
            HASH_PASSWORD_ACTIVITY,
            PasswordInput(password=self._understood.admin_user.password),
            result_type=PasswordHash,
            start_to_close_timeout=STEP_TIMEOUT,
        )
        admin = self._understood.admin_user.model_copy(
            update={"password": None, "password_hash": hashed.password_hash}
        )
        self._request = self._understood.model_copy(update={"admin_user": admin})

    @property
    def _understood(self) -> TenantCreationInput:
        if self._request is None:
            raise RuntimeError("the request is used before it was read")
        return self._request

    def _change_parameter(self, update: ParameterUpdate) -> None:
        if self._request is None:
            self._early_updates.append(update)
            return
        try:
            self._request = apply_update(self._request, update, self._operation.snapshot.step)
        except ParameterRefusedError as refusal:
            workflow.logger.warning("update signal refused: %s", refusal)

    @workflow.signal(name="cancel")
    def cancel(self, request: CancelRequest | None = None) -> None:
        """Ask for the operation to stop and be undone; has no effect once it is ending."""
        self._operation.request_cancel(request or CancelRequest())

    @workflow.signal(name="update")
    def update(self, update: ParameterUpdate | None = None) -> None:
        """Change a parameter that no step has used yet; anything else is refused in the log."""
        if update is None:
            workflow.logger.warning("update signal refused: it names no field")
        else:
            self._change_parameter(update)

    @workflow.query(name="getState")
    def get_state(self) -> dict[str, Any]:
        """The state in the words of Alga's client, which expects unknown parts to be absent."""
        return self._operation.wire_state().model_dump(mode="json", exclude_none=True)


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


def _invalid_request(error: ValidationError) -> OperationError:
    # Never the input itself: it may hold a password.
    fault = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(part) for part in fault["loc"])
    return OperationError(
        code="invalid-request",
        detail=f"{field}: {fault['msg']}" if field else fault["msg"],
        field=field or None,
    )
