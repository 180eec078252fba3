"""The workflow that restores a tenant from an export. Only the gateway starts it."""

from typing import Any
from uuid import UUID

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.operations.messages import OperationContext, OperationInput, OperationRequest
    from workflows.operations.texts import MAX_NAME_LENGTH, storable
    from workflows.operations.workflow import OperationWorkflow, nothing_to_prepare
    from workflows.tenants.steps import RESTORE_WORKFLOW, TENANT_RESTORE


class RestoreRequest(OperationRequest):
    """Argument of the workflow; a dry run writes nothing and says what would be refused."""

    tenant_id: UUID
    export_id: UUID
    tenant_name: str | None = None
    dry_run: bool = False

    @property
    def parameters_shown(self) -> dict[str, Any]:
        """The fields of a snapshot that show what was requested."""
        name = storable(self.tenant_name, MAX_NAME_LENGTH) if self.tenant_name is not None else None
        parameters = self.model_dump(mode="json", include={"export_id", "dry_run"})
        return {"parameters": parameters, "tenant_name": name}


class RestoreInput(OperationInput):
    """Argument of `restore_tenant`."""

    request: RestoreRequest


@workflow.defn(name=RESTORE_WORKFLOW)
class TenantRestoreWorkflow(OperationWorkflow[RestoreRequest]):
    """Restores a tenant."""

    kind = TENANT_RESTORE
    request_type = RestoreRequest

    @workflow.run
    async def run(self, argument: Any = None) -> dict[str, Any]:  # noqa: ARG002 - read by __init__
        """Restore the tenant; raises an `ApplicationError` whose type is the error's code."""
        self.check_id()
        self.check_request(by_us=True)
        return await self._operation.run(nothing_to_prepare, _input)


def _input(operation: OperationContext, request: RestoreRequest) -> RestoreInput:
    return RestoreInput(operation=operation, request=request)
