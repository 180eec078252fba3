"""The workflow by which Alga's client learns that a worker is alive."""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.operations.messages import HealthCheckResult
    from workflows.tenants.steps import HEALTH_CHECK_WORKFLOW


@workflow.defn(name=HEALTH_CHECK_WORKFLOW)
class HealthCheckWorkflow:
    """Answers at once; that it answers at all is the news."""

    @workflow.run
    async def run(self, argument: Any = None) -> HealthCheckResult:  # noqa: ARG002 - whoever gives one is answered, too
        """The word `healthy` and the time of the answer."""
        return HealthCheckResult(status="healthy", timestamp=workflow.now())
