"""Workflows that a replay must not accept."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.messages import OperationResult, StepDone, TenantCreationResult
    from workflows.steps import Step
    from workflows.tenant_creation import TenantCreation


@workflow.defn(name="tenantCreationWorkflow")
class Reordered(TenantCreation):
    """The same workflow with two steps in each other's place."""

    @workflow.init
    def __init__(self, argument: object = None) -> None:
        super().__init__(argument)

    @workflow.run
    async def run(self, argument: object = None) -> TenantCreationResult:  # noqa: ARG002 - read by __init__
        return await self.create()

    async def _run_steps(self) -> TenantCreationResult:
        run = self._operation.run_step
        await run(Step.INITIALIZING, StepDone)
        await run(Step.CREATING_TENANT, StepDone)
        await run(Step.CREATING_ADMIN_USER, StepDone)
        await run(Step.RUNNING_ONBOARDING_SEEDS, StepDone)
        await run(Step.SETTING_UP_DATA, StepDone)
        completed = await run(Step.COMPLETING, OperationResult)
        return TenantCreationResult(**dict(completed))


@workflow.defn(name="tenantCreationWorkflow")
class Telling(TenantCreation):
    """Fails over its argument, and quotes it."""

    @workflow.init
    def __init__(self, argument: object = None) -> None:
        super().__init__(argument)

    @workflow.run
    async def run(self, argument: object = None) -> TenantCreationResult:
        raise ValueError(f'message: "{argument}"')
