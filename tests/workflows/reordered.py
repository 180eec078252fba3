"""Workflows that a replay must not accept."""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.operations.kinds import FAILURE_POLICY_ACTIVITY, STEP_TIMEOUT
    from workflows.tenants.creation import TenantCreation
    from workflows.tenants.request import TenantCreationResult


@workflow.defn(name="tenantCreationWorkflow")
class Reordered(TenantCreation):
    """The same workflow with an activity more before all others."""

    @workflow.run
    async def run(self, argument: Any = None) -> TenantCreationResult:  # noqa: ARG002 - read by __init__
        await workflow.execute_local_activity(FAILURE_POLICY_ACTIVITY, start_to_close_timeout=STEP_TIMEOUT)
        return await self.create()


@workflow.defn(name="tenantCreationWorkflow")
class Quoting(TenantCreation):
    """Fails over its argument, and quotes it."""

    @workflow.run
    async def run(self, argument: Any = None) -> TenantCreationResult:
        raise ValueError(f'message: "{argument}"')
