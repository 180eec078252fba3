"""The workflow by which Alga's client checks that a worker is alive."""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.operations.messages import HealthCheckResult
    from workflows.tenants.steps import HEALTH_CHECK_WORKFLOW


@workflow.defn(name=HEALTH_CHECK_WORKFLOW)
class HealthCheckWorkflow:
    """Completes at once."""

    @workflow.run
    async def run(self, argument: Any = None) -> HealthCheckResult:  # noqa: ARG002 - an argument is accepted
        """Return the status `healthy` and the current time."""
        return HealthCheckResult(status="healthy", timestamp=workflow.now())
