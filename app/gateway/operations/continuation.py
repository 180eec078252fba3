"""Resumes waiting operations and changes their parameters."""

from collections.abc import Mapping
from dataclasses import replace

from activities.alga.blueprints.blueprint import Blueprint
from activities.audit.events import Action
from activities.tenants.request import TenantChanges
from app.audit.recorder import AuditRecorder
from app.auth.callers import Caller, Requester, requested
from app.database import DatabaseUnavailableError
from app.gateway.access.required_scopes import require_scope
from app.gateway.http.problems.problem import Fault, ProblemError
from app.gateway.operations.documents import OperationView
from app.gateway.operations.problems import (
    CHANGE_PROBLEMS,
    OperationFinishedError,
    OperationStoppingError,
    ParameterUsedError,
    UnknownBillingPlanError,
)
from app.gateway.operations.statuses import Statuses
from app.temporal.described import TemporalOperation
from app.temporal.errors import ChangeRefusedError, OperationEndedError, TemporalUnavailableError
from app.temporal.operations import TemporalOperations
from workflows.operations.messages import ParameterChanges, ResumeRequest
from workflows.operations.statuses import OperationStatus


class Continuation:
    """Resumes operations and changes their parameters."""

    def __init__(
        self,
        operations: TemporalOperations,
        statuses: Statuses,
        blueprints: Mapping[str, Blueprint],
        recorder: AuditRecorder,
    ) -> None:
        self._operations = operations
        self._statuses = statuses
        self._blueprints = blueprints
        self._recorder = recorder

    async def resume(self, workflow_id: str, requester: Requester) -> OperationView:
        """Try again at once what waits to be tried again, or for an operator; what is at work is left alone.

        Raises:
            ProblemError: there is no such operation, it has ended, or it is stopping.
            TemporalUnavailableError: Temporal is away.
        """
        operation, described = await self._find(requester.caller, workflow_id)
        if not operation.snapshot.status.is_resumable:
            return operation
        try:
            await self._operations.resume(described, ResumeRequest(resumed_by=requester.name))
        except OperationEndedError:
            raise OperationFinishedError from None
        await self._recorder.record(
            requested(
                Action.OPERATION_RESUME,
                requester,
                workflow_id=workflow_id,
                tenant_id=operation.snapshot.tenant_id,
            )
        )
        return _running(operation)

    async def change(self, workflow_id: str, changes: TenantChanges, requester: Requester) -> OperationView:
        """Change parameters before the commit, all or none; an operation that waits then goes on.

        Raises:
            ProblemError: there is no such operation, it has ended or is stopping, or a change was refused.
            WorkerUnavailableError: no worker took the change in time.
            DatabaseUnavailableError: the worker could not ask the database.
            TemporalUnavailableError: Temporal is away.
        """
        operation, described = await self._find(requester.caller, workflow_id)
        if not operation.kind.parameters:
            raise ParameterUsedError(f"Operations of kind {operation.kind.name} have no parameters")
        if operation.snapshot.committed_at is not None:
            raise ParameterUsedError
        self._refuse_unknown_billing_plan(operation, changes)
        request = ParameterChanges(changes=changes.to_message(), origin=requester.origin())
        try:
            await self._operations.change(described, request)
        except OperationEndedError:
            raise OperationFinishedError from None
        except ChangeRefusedError as refused:
            raise _refusal(refused) from None
        return await self._statuses.find(workflow_id)

    async def _find(self, caller: Caller, workflow_id: str) -> tuple[OperationView, TemporalOperation]:
        """The operation, as one whose workflow runs and goes on."""
        operation = await self._statuses.find_for(caller, workflow_id)
        require_scope(caller, operation.kind.manage_scope)
        if not operation.is_open:
            raise OperationFinishedError
        if operation.described is None:
            raise TemporalUnavailableError("an operation can't go on by its row")
        if operation.snapshot.status.is_stopping:
            raise OperationStoppingError
        return operation, operation.described

    def _refuse_unknown_billing_plan(self, operation: OperationView, changes: TenantChanges) -> None:
        wanted, product = changes.billing_plan, operation.snapshot.product_code
        blueprint = self._blueprints.get(product) if product is not None else None
        if wanted is not None and blueprint is not None and blueprint.contract_line(wanted) is None:
            raise UnknownBillingPlanError.among(blueprint.contract_line_names)


def _running(operation: OperationView) -> OperationView:
    """The operation as the workflow will show it; one whose worker is busy or away shows it later."""
    changes = {"status": OperationStatus.RUNNING, "next_try_at": None, "attention_deadline": None}
    return replace(operation, snapshot=operation.snapshot.model_copy(update=changes))


def _refusal(refused: ChangeRefusedError) -> ProblemError:
    kind = CHANGE_PROBLEMS.get(refused.code)
    if kind is None:
        raise DatabaseUnavailableError(refused.detail)
    errors = [Fault(field=refused.field, detail=refused.detail)] if refused.field is not None else None
    return kind(refused.detail, errors=errors)
