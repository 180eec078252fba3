"""The workflow that deletes a tenant: suspend, wait for a confirmation and a grace period, purge."""

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from workflows.operations.messages import (
        Cancellation,
        OperationContext,
        OperationError,
        OperationWarning,
        StepDone,
    )
    from workflows.operations.parameters import parse_signal
    from workflows.operations.retrying import run_locally, run_with_heartbeats
    from workflows.operations.staged import StagedLifecycle
    from workflows.operations.statuses import OperationStatus
    from workflows.operations.workflow import OperationWorkflow
    from workflows.tenants.deletions.messages import (
        ConfirmationInput,
        ConfirmationResult,
        ConfirmationType,
        ConfirmDeletion,
        DeletionInput,
        DeletionRequest,
        ExportCancellation,
        RollbackDeletion,
    )
    from workflows.tenants.deletions.state import (
        STATE_SIGNAL,
        DeletionState,
        StateReport,
        WireState,
        deletion_id,
        wire_state,
    )
    from workflows.tenants.export import ExportRequest
    from workflows.tenants.steps import (
        AWAIT_CONFIRMATION,
        BEGIN_DELETION_ACTIVITY,
        CANCEL_EXPORT_ACTIVITY,
        CONFIRM_DELETION_ACTIVITY,
        DELETION,
        DELETION_WORKFLOW,
        EXPORT,
        EXPORT_WORKFLOW,
        LIST_EXTERNAL,
        LIST_EXTERNAL_ACTIVITY,
        READ_DELETION_ACTIVITY,
        SUSPEND,
        TENANT_EXPORT,
        WAIT_GRACE_PERIOD,
    )

# As long as Alga waits.
CONFIRMATION_PERIOD = timedelta(days=90)
NOT_CONFIRMED = "deletion-not-confirmed"
# Codes of warnings.
CONFIRMATION_REFUSED = "confirmation-refused"
REACTIVATION_REFUSED = "reactivation-refused"


@workflow.defn(name=DELETION_WORKFLOW)
class TenantDeletionWorkflow(OperationWorkflow[DeletionRequest]):
    """Deletes a tenant. Its row in `deletions` decides, signals only make it look there."""

    kind = DELETION
    request_type = DeletionRequest
    lifecycle = StagedLifecycle

    @workflow.init
    def __init__(self, argument: Any = None) -> None:
        super().__init__(argument)
        self._recorded = DeletionState()
        self._reported: WireState | None = None
        self._wire_confirmation: ConfirmDeletion | None = None
        self._is_reactivation_refused = False
        if self._fault is None:
            self._operation.progress.warn(*self._operation.request.warnings)

    @property
    def _staged(self) -> StagedLifecycle[DeletionRequest]:
        if not isinstance(self._operation, StagedLifecycle):
            raise TypeError("a deletion has a staged lifecycle")
        return self._operation

    @workflow.run
    async def run(self, argument: Any = None) -> dict[str, Any]:  # noqa: ARG002 - read by __init__
        """Delete the tenant; raises an `ApplicationError` whose type is the error's code."""
        self.check_id()
        self.check_request(by_us=True)
        reporting = asyncio.create_task(self._report())

        def is_reported() -> bool:
            return reporting.done() or self._reported == self._state

        # Not in a `finally`, which also runs when a worker drops the workflow, and must not wait then.
        try:
            result = await self._operation.run(self._before_purge, _input)
        except (ApplicationError, asyncio.CancelledError):
            await workflow.wait_condition(is_reported)
            raise
        await workflow.wait_condition(is_reported)
        return result

    async def _before_purge(self) -> None:
        operation = self._staged
        self._see(await operation.step(SUSPEND, self._begin))
        operation.progress.warn(*self._recorded.warnings)
        if self._operation.request.export:
            export_id = await operation.read(EXPORT, self._export)
            await operation.step(EXPORT, partial(self._note_export, export_id))
        else:
            operation.skip(EXPORT)
        if operation.request.confirmed:
            operation.skip(AWAIT_CONFIRMATION)
        scheduled_for = self._recorded.scheduled_for or await self._confirmed()
        await operation.wait(WAIT_GRACE_PERIOD, OperationStatus.WAITING, self._is_due, until=scheduled_for)
        await self._settle_reactivation()
        operation.progress.finish_step(WAIT_GRACE_PERIOD)
        await operation.step(LIST_EXTERNAL, self._list_external)

    async def _export(self) -> UUID:
        """Export the tenant by an operation of its own, and return the id of the export."""
        request = self._operation.request
        exporting = await workflow.start_child_workflow(
            EXPORT_WORKFLOW,
            ExportRequest(
                tenant_id=request.tenant_id,
                tenant_name=request.tenant_name,
                reason=f"before the deletion {workflow.info().workflow_id}",
                # Each start has an event of its own in the audit trail.
                origin=request.origin.model_copy(update={"start_id": None}),
            ),
            id=TENANT_EXPORT.workflow_id(workflow.uuid4()),
            parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
            result_type=dict[str, Any],
        )
        await workflow.wait_condition(lambda: exporting.done() or self._staged.is_cancelled)
        if not exporting.done():
            await self._cancel(exporting)
        result = await exporting
        return UUID(result["exportId"])

    async def _cancel(self, exporting: workflow.ChildWorkflowHandle[Any, dict[str, Any]]) -> None:
        """Cancel the export by a signal, and in the database for its running activity, which receives none."""
        cancellation = Cancellation(reason="the deletion was undone")
        argument = ExportCancellation(
            operation=self._operation.progress.context(),
            workflow_id=exporting.id,
            run_id=exporting.first_execution_run_id or "",
            cancellation=cancellation,
        )
        await exporting.signal("cancel", cancellation)
        await run_locally(CANCEL_EXPORT_ACTIVITY, argument, StepDone)

    async def _note_export(self, export_id: UUID) -> DeletionState:
        argument = self._argument.model_copy(update={"export_id": export_id})
        return await run_locally(READ_DELETION_ACTIVITY, argument, DeletionState)

    async def _confirmed(self) -> datetime:
        """Return for when the purge is scheduled, once the deletion is confirmed.

        A person does that, and for a deletion over Temporal, as in Alga, also the end of 90 days.
        """
        operation, request = self._staged, self._operation.request
        while True:
            until = workflow.now() + CONFIRMATION_PERIOD
            status = OperationStatus.AWAITING_CONFIRMATION
            await operation.wait(AWAIT_CONFIRMATION, status, self._is_confirmed, until=until)
            if self._recorded.scheduled_for is not None:
                operation.progress.finish_step(AWAIT_CONFIRMATION)
                return self._recorded.scheduled_for
            if request.is_wire and await self._confirm("auto_90_days", None):
                continue
            detail = "the deletion was not confirmed for 90 days; confirm it, undo it, or resume to wait 90 days more"
            error = OperationError(code=NOT_CONFIRMED, detail=detail, step=AWAIT_CONFIRMATION)
            await operation.park(error, self._is_confirmed)

    async def _is_confirmed(self) -> bool:
        if (confirmation := self._wire_confirmation) is not None:
            await self._confirm(confirmation.type, confirmation.confirmed_by)
            self._wire_confirmation = None
        if self._recorded.scheduled_for is None:
            self._see(await self._staged.read(AWAIT_CONFIRMATION, self._read))
        return self._recorded.scheduled_for is not None

    async def _is_due(self) -> bool:
        return self._recorded.scheduled_for is not None and workflow.now() >= self._recorded.scheduled_for

    async def _settle_reactivation(self) -> None:
        """Let an operator decide before the purge if Alga's client has said that the customer pays again."""
        if not self._is_reactivation_refused:
            return
        detail = (
            "the customer has paid to keep the tenant; undo the deletion, or resume to delete the tenant all the same"
        )
        error = OperationError(code=REACTIVATION_REFUSED, detail=detail, field="reactivation", step=WAIT_GRACE_PERIOD)
        await self._staged.park(error)

    async def _confirm(self, type_: ConfirmationType, claimed_by: str | None) -> bool:
        """Confirm for a client of Temporal; a refusal becomes a warning."""

        async def attempt() -> ConfirmationResult:
            argument = ConfirmationInput(
                operation=self._operation.progress.context(),
                request=self._operation.request,
                type=type_,
                claimed_by=claimed_by,
            )
            return await run_locally(CONFIRM_DELETION_ACTIVITY, argument, ConfirmationResult)

        result = await self._staged.read(AWAIT_CONFIRMATION, attempt)
        self._see(result)
        if result.refused is not None:
            self._warn(CONFIRMATION_REFUSED, result.refused)
        return result.refused is None

    async def _begin(self) -> DeletionState:
        return await run_locally(BEGIN_DELETION_ACTIVITY, self._argument, DeletionState)

    async def _read(self) -> DeletionState:
        return await run_locally(READ_DELETION_ACTIVITY, self._argument, DeletionState)

    async def _list_external(self) -> DeletionState:
        return await run_with_heartbeats(LIST_EXTERNAL_ACTIVITY, self._argument, DeletionState)

    @property
    def _argument(self) -> DeletionInput:
        return _input(self._operation.progress.context(), self._operation.request)

    def _see(self, state: DeletionState) -> None:
        self._recorded = self._recorded.with_newer(state)

    @property
    def _state(self) -> WireState:
        context = self._operation.progress.context()
        own_id = deletion_id(context.workflow_id, context.run_id)
        return wire_state(context.snapshot, own_id, self._recorded, self._operation.cancellation)

    async def _report(self) -> None:
        """Send each change of the state to the workflow of Alga's client, until that has ended."""
        parent = workflow.info().parent
        if parent is None:
            return
        handle = workflow.get_external_workflow_handle(parent.workflow_id, run_id=parent.run_id)
        while True:
            await workflow.wait_condition(lambda: self._reported != self._state)
            state = self._state
            report = StateReport(
                origin=self._operation.request.origin, deletion=workflow.info().workflow_id, state=state
            )
            try:
                await handle.signal(STATE_SIGNAL, report)
            except FailureError:
                return
            self._reported = state

    def _warn(self, code: str, detail: str, field: str | None = None) -> None:
        self._operation.progress.warn(OperationWarning(code=code, detail=detail, field=field))

    @workflow.signal(name="confirm")
    def confirm(self, argument: Any = None) -> None:  # noqa: ARG002 - the row has the confirmation
        """Look whether the row has a confirmation."""
        self._staged.wake()

    @workflow.signal(name="confirmDeletion")
    def confirm_deletion(self, argument: Any = None) -> None:
        """Confirm for a client of Temporal, by a `ConfirmDeletion`, if that is allowed; the first one counts."""
        confirmation, first = parse_signal(ConfirmDeletion, argument), self._wire_confirmation
        confirmed_as = first.type if first is not None else self._recorded.confirmation_type
        if confirmation is None:
            detail = "a signal confirmDeletion was ignored: its type must be immediate, 30_days or 90_days"
            self._warn(CONFIRMATION_REFUSED, detail, "type")
        elif confirmed_as is None:
            self._wire_confirmation = confirmation
        elif confirmed_as != confirmation.type:
            self._warn(CONFIRMATION_REFUSED, "a second confirmation was ignored: the first one counts", "type")
        self._staged.wake()

    @workflow.signal(name="rollbackDeletion")
    def rollback_deletion(self, argument: Any = None) -> None:
        """Undo the deletion for a client of Temporal, by a `RollbackDeletion`.

        One that also links a payment is refused, and then an operator has to decide before the purge.
        """
        rollback = parse_signal(RollbackDeletion, argument) or RollbackDeletion()
        if not rollback.reactivation:
            self._operation.request_cancel(Cancellation(reason=rollback.reason, claimed_by=rollback.rolled_back_by))
            return
        self._is_reactivation_refused = True
        detail = (
            "a rollback with reactivation was refused, because payments can't be linked: link the subscription by "
            "hand, then undo the deletion; it waits for that decision before the purge"
        )
        self._warn(REACTIVATION_REFUSED, detail, "reactivation")
        self._staged.wake()

    @workflow.query(name="getState")
    def get_state(self) -> dict[str, Any]:
        """Return the state in the terms of Alga's client."""
        return self._state.document

    @workflow.query(name="getDeletionState")
    def get_deletion_state(self) -> dict[str, Any]:
        """Return the same, under the name that Alga's workflow has for it."""
        return self._state.document


def _input(operation: OperationContext, request: DeletionRequest) -> DeletionInput:
    return DeletionInput(operation=operation, request=request)
