"""The workflow that exports a tenant, under the name that Alga's client uses."""

from typing import Any
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from workflows.operations.messages import (
        OperationContext,
        OperationInput,
        OperationRequest,
        ShownName,
        ShownSentence,
    )
    from workflows.operations.statuses import OperationStatus
    from workflows.operations.texts import MAX_NAME_LENGTH, storable
    from workflows.operations.workflow import OperationWorkflow, nothing_to_prepare
    from workflows.tenants.ignored_fields import unknown_fields
    from workflows.tenants.steps import EXPORT_WORKFLOW, TENANT_EXPORT

# The statuses of an export as Alga's client knows them.
WIRE_STATUSES = {
    OperationStatus.QUEUED: "pending",
    OperationStatus.COMPLETED: "completed",
    OperationStatus.FAILED: "failed",
    OperationStatus.CANCELLED: "failed",
}


class ExportRequest(OperationRequest):
    """Argument of the workflow; `requested_by` is what Alga's client says of its caller, unverified.

    Only the gateway checks who may have secrets, so that any other request gets none.
    """

    tenant_id: UUID
    tenant_name: str | None = None
    include_secrets: bool = False
    reason: ShownSentence | None = None
    requested_by: ShownName | None = None

    @property
    def has_secrets(self) -> bool:
        """Whether the archive holds secrets."""
        return self.include_secrets and self.origin.is_gateway

    @property
    def parameters_shown(self) -> dict[str, Any]:
        """The fields of a snapshot that show what was requested."""
        parameters = self.model_dump(mode="json", include={"reason", "requested_by"}, exclude_none=True)
        name = storable(self.tenant_name, MAX_NAME_LENGTH) if self.tenant_name is not None else None
        return {"parameters": {**parameters, "includeSecrets": self.has_secrets}, "tenant_name": name}


class ExportInput(OperationInput):
    """Argument of `export_tenant`."""

    request: ExportRequest


@workflow.defn(name=EXPORT_WORKFLOW)
class TenantExportWorkflow(OperationWorkflow[ExportRequest]):
    """Exports a tenant into an archive."""

    kind = TENANT_EXPORT
    request_type = ExportRequest

    @workflow.run
    async def run(self, argument: Any = None) -> dict[str, Any]:
        """Export the tenant; a failure is raised for the gateway, and part of the result for Alga's client."""
        self.check_id()
        try:
            self.check_request()
            self._operation.progress.warn(*unknown_fields(ExportRequest, argument))
            result = await self._operation.run(nothing_to_prepare, _input)
        except ApplicationError as error:
            if self.is_gateways:
                raise
            return {"success": False, "error": error.message, **self._named}
        return result if self.is_gateways else {"success": True, **self._named, **result}

    @property
    def _named(self) -> dict[str, Any]:
        snapshot = self._operation.progress.snapshot
        named = {"tenantId": snapshot.tenant_id and str(snapshot.tenant_id), "tenantName": snapshot.tenant_name}
        return {name: value for name, value in named.items() if value is not None}

    @workflow.query(name="getExportState")
    def get_export_state(self) -> dict[str, Any]:
        """Return the state in the terms of Alga's client."""
        snapshot = self._operation.progress.snapshot
        state = {
            **self._operation.progress.wire_state(),
            **(snapshot.result or {}),
            "status": WIRE_STATUSES.get(snapshot.status, "in_progress"),
            "startedAt": snapshot.started_at and snapshot.started_at.isoformat(),
            "completedAt": snapshot.finished_at and snapshot.finished_at.isoformat(),
        }
        return {**{name: value for name, value in state.items() if value is not None}, **self._named}


def _input(operation: OperationContext, request: ExportRequest) -> ExportInput:
    return ExportInput(operation=operation, request=request)
