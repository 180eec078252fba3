"""Resumes waiting operations and updates their parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from activities.alga.blueprints.blueprint import Blueprint
from activities.audit.events import Action
from activities.tenants.request import TenantChanges
from app.audit.recorder import AuditRecorder
from app.auth.callers import Caller, Requester
from app.database import DatabaseUnavailableError
from app.gateway.access.parameters import require_scope
from app.gateway.http.problems.problem import Fault, ProblemError
from app.gateway.operations.documents import OperationView
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.problems import (
    CHANGE_PROBLEMS,
    OperationFinishedError,
    OperationStoppingError,
    ParameterUsedError,
)
from app.temporal.errors import ChangeRefusedError, OperationEndedError
from app.temporal.operations import TemporalOperations
from workflows.operations.messages import ParameterChanges, ResumeRequest
from workflows.operations.statuses import OperationStatus


@dataclass(frozen=True, repr=False)
class OperationUpdates:
    """Resumes operations and updates their parameters."""

    operations: TemporalOperations
    lookup: OperationLookup
    blueprints: Mapping[str, Blueprint]
    recorder: AuditRecorder

    async def resume(self, workflow_id: str, requester: Requester) -> OperationView:
        """Start the next attempt at once if the operation waits for it or for an operator; otherwise do nothing.

        Raises:
            ProblemError: there is no such operation, it has ended, or it is stopping.
            TemporalUnavailableError: Temporal is unavailable.
        """
        operation = await self._find(requester.caller, workflow_id)
        if not operation.snapshot.status.is_resumable:
            return operation
        try:
            await self.operations.resume(operation.in_temporal, ResumeRequest(resumed_by=requester.name))
        except OperationEndedError:
            raise OperationFinishedError from None
        tenant_id = operation.snapshot.tenant_id
        await self.recorder.record(
            requester.audit_event(Action.OPERATION_RESUME, workflow_id=workflow_id, tenant_id=tenant_id)
        )
        # A workflow without a worker shows this later.
        return replace(operation, snapshot=operation.snapshot.at_work(status=OperationStatus.RUNNING))

    async def change(self, workflow_id: str, changes: TenantChanges, requester: Requester) -> OperationView:
        """Change parameters before the commit, all or none, and resume the operation if it waits.

        Raises:
            ProblemError: there is no such operation, it has ended or is stopping, or a change was rejected.
            FinalError: the billing plan is unknown.
            WorkerUnavailableError: no worker received the change in time.
            DatabaseUnavailableError: the worker could not reach the database.
            TemporalUnavailableError: Temporal is unavailable.
        """
        operation = await self._find(requester.caller, workflow_id)
        if not operation.kind.parameters:
            raise ParameterUsedError(f"Operations of kind {operation.kind.name} have no parameters")
        if operation.snapshot.committed_at is not None:
            raise ParameterUsedError
        blueprint = self.blueprints.get(operation.snapshot.product_code or "")
        if blueprint is not None:
            blueprint.check_billing_plan(changes.billing_plan)
        request = ParameterChanges(changes=changes.to_message(), origin=requester.origin())
        try:
            await self.operations.change(operation.in_temporal, request)
        except OperationEndedError:
            raise OperationFinishedError from None
        except ChangeRefusedError as refused:
            raise _problem_of(refused) from None
        return await self.lookup.find(workflow_id)

    async def _find(self, caller: Caller, workflow_id: str) -> OperationView:
        """Return an open operation in Temporal that is not stopping."""
        operation = await self.lookup.find_for(caller, workflow_id)
        require_scope(caller, operation.kind.manage_scope)
        if not operation.is_open:
            raise OperationFinishedError
        if operation.in_temporal.snapshot.status.is_stopping:
            raise OperationStoppingError
        return operation


def _problem_of(refused: ChangeRefusedError) -> Exception:
    kind: type[ProblemError] | None = CHANGE_PROBLEMS.get(refused.code)
    if kind is None:
        return DatabaseUnavailableError(refused.detail)
    errors = [Fault(field=refused.field, detail=refused.detail)] if refused.field is not None else None
    return kind(refused.detail, errors=errors)
