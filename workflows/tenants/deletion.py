"""The workflow that deletes a tenant: suspend, wait for a confirmation and a grace period, purge."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID

from pydantic import Field
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.operations.messages import (
        UNKNOWN_CALLER,
        Cancellation,
        Message,
        OperationContext,
        OperationError,
        OperationInput,
        OperationRequest,
        OperationWarning,
        ShownName,
        ShownSentence,
    )
    from workflows.operations.parameters import parse_signal
    from workflows.operations.retrying import run_locally, run_with_heartbeats
    from workflows.operations.staged import StagedLifecycle
    from workflows.operations.statuses import OperationStatus
    from workflows.operations.texts import MAX_NAME_LENGTH, storable
    from workflows.operations.workflow import OperationWorkflow
    from workflows.tenants.export import ExportRequest
    from workflows.tenants.steps import (
        AWAIT_CONFIRMATION,
        BEGIN_DELETION_ACTIVITY,
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
# The parameter that says whether the request also confirms.
CONFIRM = "confirm"

ConfirmationType = Literal["immediate", "30_days", "90_days", "auto_90_days"]
GRACE_DAYS: Mapping[ConfirmationType, int] = {"immediate": 0, "30_days": 30, "90_days": 90, "auto_90_days": 0}


class DeletionRequest(OperationRequest):
    """Argument of the workflow.

    `confirmed` says that the gateway has checked that the requester may confirm, and does. `trigger_source` and the
    fields after it are Alga's; a `triggered_by` is unverified. `parent_id` is the workflow of Alga's client.
    """

    tenant_id: UUID
    tenant_name: str | None = None
    reason: ShownSentence | None = None
    grace_period_days: int = 30
    export: bool = True
    confirmed: bool = False
    trigger_source: ShownName = "manual"
    triggered_by: ShownName | None = None
    subscription_external_id: ShownName | None = None
    parent_id: str | None = None

    @property
    def is_wire(self) -> bool:
        """Whether a client of Temporal has requested the deletion."""
        return self.origin.requested_by == UNKNOWN_CALLER

    @property
    def parameters_shown(self) -> dict[str, Any]:
        """The fields of a snapshot that show what was requested."""
        left_out = {"tenant_id", "tenant_name", "origin", "confirmed", "parent_id"}
        parameters = self.model_dump(mode="json", exclude=left_out, exclude_none=True)
        name = storable(self.tenant_name, MAX_NAME_LENGTH) if self.tenant_name is not None else None
        return {"parameters": {**parameters, CONFIRM: self.confirmed}, "tenant_name": name}


class DeletionInput(OperationInput):
    """Argument of the activities of a deletion; `export_id` is the export to note in its row."""

    request: DeletionRequest
    export_id: UUID | None = None


class ConfirmationInput(DeletionInput):
    """Argument of `confirm_deletion`, for a confirmation over Temporal."""

    type: ConfirmationType
    claimed_by: ShownName | None = None


class DeletionState(Message):
    """What the deletion's row says. Confirmed deletions have a time for which the purge is scheduled."""

    scheduled_for: datetime | None = None
    refused: str | None = Field(default=None, description="Why a confirmation over Temporal did not count.")


class ConfirmDeletion(Message):
    """Argument of the signal `confirmDeletion` of Alga's client."""

    type: Literal["immediate", "30_days", "90_days"]
    confirmed_by: ShownName | None = None


class RollbackDeletion(Message):
    """Argument of the signal `rollbackDeletion` of Alga's client."""

    reason: ShownSentence | None = None
    rolled_back_by: ShownName | None = None


@workflow.defn(name=DELETION_WORKFLOW)
class TenantDeletionWorkflow(OperationWorkflow[DeletionRequest]):
    """Deletes a tenant. Its row in `deletions` decides, signals only make it look there."""

    kind = DELETION
    request_type = DeletionRequest
    lifecycle = StagedLifecycle

    @workflow.init
    def __init__(self, argument: Any = None) -> None:
        super().__init__(argument)
        self._wire_confirmation: ConfirmDeletion | None = None
        self._scheduled_for: datetime | None = None

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
        return await self._operation.run(self._before_purge, _input)

    async def _before_purge(self) -> None:
        operation = self._staged
        self._see(await operation.step(SUSPEND, self._begin))
        if self._operation.request.export:
            export_id = await operation.step(EXPORT, self._export)
            await operation.read(EXPORT, partial(self._note_export, export_id))
        else:
            operation.skip(EXPORT)
        if operation.request.confirmed:
            operation.skip(AWAIT_CONFIRMATION)
        scheduled_for = self._scheduled_for or await self._confirmed()
        await operation.wait(WAIT_GRACE_PERIOD, OperationStatus.WAITING, self._is_due, until=scheduled_for)
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
            await exporting.signal("cancel", Cancellation(reason="the deletion was undone"))
        result = await exporting
        return UUID(result["exportId"])

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
            if self._scheduled_for is not None:
                operation.progress.finish_step(AWAIT_CONFIRMATION)
                return self._scheduled_for
            if request.is_wire and await self._confirm("auto_90_days", None):
                continue
            detail = "the deletion was not confirmed for 90 days; confirm it, undo it, or resume to wait 90 days more"
            await operation.park(OperationError(code=NOT_CONFIRMED, detail=detail, step=AWAIT_CONFIRMATION))

    async def _is_confirmed(self) -> bool:
        if (confirmation := self._wire_confirmation) is not None:
            self._wire_confirmation = None
            await self._confirm(confirmation.type, confirmation.confirmed_by)
        if self._scheduled_for is None:
            self._see(await self._staged.read(AWAIT_CONFIRMATION, self._read))
        return self._scheduled_for is not None

    async def _is_due(self) -> bool:
        return self._scheduled_for is not None and workflow.now() >= self._scheduled_for

    async def _confirm(self, type_: ConfirmationType, claimed_by: str | None) -> bool:
        """Confirm for a client of Temporal; a refusal becomes a warning."""

        async def attempt() -> DeletionState:
            argument = ConfirmationInput(
                operation=self._operation.progress.context(),
                request=self._operation.request,
                type=type_,
                claimed_by=claimed_by,
            )
            return await run_locally(CONFIRM_DELETION_ACTIVITY, argument, DeletionState)

        state = await self._staged.read(AWAIT_CONFIRMATION, attempt)
        self._see(state)
        if state.refused is not None:
            self._operation.progress.warn(OperationWarning(code="confirmation-refused", detail=state.refused))
        return state.refused is None

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
        self._scheduled_for = state.scheduled_for or self._scheduled_for

    @workflow.signal(name="confirm")
    def confirm(self, argument: Any = None) -> None:  # noqa: ARG002 - the row has the confirmation
        """Look whether the row has a confirmation."""
        self._staged.wake()

    @workflow.signal(name="confirmDeletion")
    def confirm_deletion(self, argument: Any = None) -> None:
        """Confirm for a client of Temporal, by a `ConfirmDeletion`, if that is allowed."""
        confirmation = parse_signal(ConfirmDeletion, argument)
        if confirmation is None:
            detail = "a signal confirmDeletion was ignored: its type must be immediate, 30_days or 90_days"
            self._operation.progress.warn(OperationWarning(code="confirmation-refused", detail=detail))
            return
        self._wire_confirmation = confirmation
        self._staged.wake()

    @workflow.signal(name="rollbackDeletion")
    def rollback_deletion(self, argument: Any = None) -> None:
        """Undo the deletion for a client of Temporal, by a `RollbackDeletion`."""
        rollback = parse_signal(RollbackDeletion, argument) or RollbackDeletion()
        self._operation.request_cancel(Cancellation(reason=rollback.reason, claimed_by=rollback.rolled_back_by))


def _input(operation: OperationContext, request: DeletionRequest) -> DeletionInput:
    return DeletionInput(operation=operation, request=request)
