"""The workflows that suspend a tenant, and that undo a suspension. Only the gateway starts them."""

from typing import Any
from uuid import UUID

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.operations.messages import OperationContext, OperationInput, OperationRequest, ShownSentence
    from workflows.operations.texts import MAX_NAME_LENGTH, storable
    from workflows.operations.workflow import OperationWorkflow, nothing_to_prepare
    from workflows.tenants.steps import REACTIVATION, REACTIVATION_WORKFLOW, SUSPENSION, SUSPENSION_WORKFLOW


class SuspensionRequest(OperationRequest):
    """Argument of the workflows; `tenant_name` is for people."""

    tenant_id: UUID
    tenant_name: str | None = None
    reason: ShownSentence | None = None

    @property
    def parameters_shown(self) -> dict[str, Any]:
        """The fields of a snapshot that show what was requested."""
        name = storable(self.tenant_name, MAX_NAME_LENGTH) if self.tenant_name is not None else None
        parameters = {"reason": self.reason} if self.reason is not None else {}
        return {"parameters": parameters, "tenant_name": name}


class SuspensionInput(OperationInput):
    """Argument of `suspend_tenant` and `reactivate_tenant`."""

    request: SuspensionRequest


class _Suspending(OperationWorkflow[SuspensionRequest]):
    request_type = SuspensionRequest

    async def perform(self) -> dict[str, Any]:
        self.check_id()
        self.check_request(by_us=True)
        return await self._operation.run(nothing_to_prepare, _transaction_input)


@workflow.defn(name=SUSPENSION_WORKFLOW)
class SuspensionWorkflow(_Suspending):
    """Suspends a tenant."""

    kind = SUSPENSION

    @workflow.run
    async def run(self, argument: Any = None) -> dict[str, Any]:  # noqa: ARG002 - read by __init__
        """Suspend the tenant; raises an `ApplicationError` whose type is the error's code."""
        return await self.perform()


@workflow.defn(name=REACTIVATION_WORKFLOW)
class ReactivationWorkflow(_Suspending):
    """Undoes a suspension."""

    kind = REACTIVATION

    @workflow.run
    async def run(self, argument: Any = None) -> dict[str, Any]:  # noqa: ARG002 - read by __init__
        """Reactivate the tenant; raises an `ApplicationError` whose type is the error's code."""
        return await self.perform()


def _transaction_input(operation: OperationContext, request: SuspensionRequest) -> SuspensionInput:
    return SuspensionInput(operation=operation, request=request)
