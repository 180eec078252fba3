"""The workflow by which Alga's client deletes a tenant; it hands over to a deletion of ours, which outlives it.

Alga's client ends it after 100 days. A confirmation may come after 90, and the grace period may be as long again.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError, CancelledError, ChildWorkflowError, FailureError

with workflow.unsafe.imports_passed_through():
    from workflows.operations.failures import (
        CANCELLED,
        ENDED_OUTSIDE,
        INVALID_REQUEST,
        OPERATION_IN_PROGRESS,
        refusal,
    )
    from workflows.operations.kinds import KINDS, STEP_TIMEOUT, initial_snapshot
    from workflows.operations.messages import (
        OPERATION_MEMO,
        UNKNOWN_CALLER,
        Message,
        OperationWarning,
        Origin,
        ShownName,
        ShownSentence,
    )
    from workflows.operations.parameters import first_fault, parse_signal
    from workflows.tenants.deletions.messages import ConfirmDeletion, DeletionRequest, RollbackDeletion
    from workflows.tenants.deletions.state import (
        DELETED,
        FAILED,
        ROLLED_BACK,
        STATE_SIGNAL,
        OpenDeletion,
        StateReport,
        WireState,
        deletion_id,
    )
    from workflows.tenants.ignored_fields import unknown_fields
    from workflows.tenants.steps import (
        CHECK_WIRE_DELETION_ACTIVITY,
        DELETION,
        DELETION_WORKFLOW,
        WIRE_DELETION_WORKFLOW,
    )

WIRE_OFF = "wire-deletion-off"
# The code of warnings: what Alga's own worker would do, and we don't.
NOT_SERVED = "not-served"


class WireDeletionRequest(Message):
    """Argument of the workflow, as Alga's client sends it."""

    tenant_id: UUID
    trigger_source: Literal["stripe_webhook", "apple_iap_webhook", "nineminds_extension", "manual"]
    triggered_by: ShownName | None = None
    subscription_external_id: ShownName | None = None
    reason: ShownSentence | None = None


class WireCheck(Message):
    """Result of `check_wire_deletion`; `refused` says why deletions over Temporal are off."""

    refused: str | None = None
    can_export: bool = False
    tenant_name: str | None = None
    open_deletion: OpenDeletion | None = None


class WireResult(Message):
    """Result of the workflow, as Alga's client expects it. A failure is raised instead.

    A second deletion of a tenant has the ids of the first one, and no success.
    """

    success: bool
    deletion_id: UUID
    tenant_id: UUID
    status: str
    workflow_id: str
    deleted_at: datetime | None = None
    error: str | None = None


@workflow.defn(name=WIRE_DELETION_WORKFLOW)
class WireDeletionWorkflow:
    """Starts the deletion, passes signals on to it, and shows its state. It decides nothing itself.

    The argument is untyped, because the SDK would retry the workflow task for ever if it could not be decoded.
    """

    # Parses the request, and not run, because a signal may arrive together with the start.
    @workflow.init
    def __init__(self, argument: Any = None) -> None:
        self._state = WireState()
        self._deletion: workflow.ChildWorkflowHandle[Any, Any] | None = None
        self._request: WireDeletionRequest | None = None
        self._fault: ApplicationError | None = None
        try:
            self._request = WireDeletionRequest.model_validate(argument)
        except ValidationError as error:
            field, detail = first_fault(error)
            self._fault = refusal(INVALID_REQUEST, detail, field)
        else:
            self._change(tenant_id=self._request.tenant_id)
        if KINDS.is_own_id(workflow.info().workflow_id):
            self._fault = refusal(
                INVALID_REQUEST, "workflow ids of this form are chosen by the gateway; use another one"
            )

    @workflow.run
    async def run(self, argument: Any = None) -> dict[str, Any]:
        """Delete the tenant; raises an `ApplicationError` whose type is the error's code."""
        try:
            return (await self._run(argument)).model_dump(mode="json", exclude_none=True)
        except ApplicationError as error:
            self._change(step=FAILED, status=FAILED, error=error.message)
            raise

    async def _run(self, argument: Any) -> WireResult:
        if self._fault is not None or self._request is None:
            raise self._fault or refusal(INVALID_REQUEST, "there is no request")
        check = await self._check(self._request)
        if check.open_deletion is not None:
            return self._second(self._request, check.open_deletion)
        wanted = _deletion_request(self._request, check, argument)
        try:
            return await self._delete(wanted)
        except ChildWorkflowError as error:
            failure = error.cause
        if isinstance(failure, CancelledError):
            return self._ended(ROLLED_BACK)
        if not isinstance(failure, ApplicationError):
            detail = "the deletion's workflow was terminated in Temporal"
            raise ApplicationError(detail, type=ENDED_OUTSIDE, non_retryable=True)
        if failure.type == CANCELLED:
            return self._ended(ROLLED_BACK)
        if failure.type == OPERATION_IN_PROGRESS:
            # It began after the check.
            check = await self._check(self._request)
            if check.open_deletion is not None:
                return self._second(self._request, check.open_deletion)
        raise ApplicationError(failure.message, type=failure.type, non_retryable=True)

    async def _check(self, request: WireDeletionRequest) -> WireCheck:
        """Ask the worker, by a local activity so that a replay finds its response; raises `ApplicationError`."""
        check: WireCheck = await workflow.execute_local_activity(
            CHECK_WIRE_DELETION_ACTIVITY, request, result_type=WireCheck, start_to_close_timeout=STEP_TIMEOUT
        )
        if check.refused is not None:
            raise refusal(WIRE_OFF, check.refused)
        return check

    async def _delete(self, request: DeletionRequest) -> WireResult:
        """Start the deletion and wait for its end; raises `ChildWorkflowError`."""
        snapshot = initial_snapshot(DELETION).model_copy(
            update={**request.shown, "started_at": workflow.now(), "updated_at": workflow.now()}
        )
        self._deletion = await workflow.start_child_workflow(
            DELETION_WORKFLOW,
            request,
            # Not of the form that the gateway chooses: Alga's client reads the state, and has no key.
            id=DELETION.workflow_id(f"{request.tenant_id}-{workflow.uuid4()}"),
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            memo={OPERATION_MEMO: snapshot},
        )
        run_id = self._deletion.first_execution_run_id or ""
        self._change(deletion_id=deletion_id(self._deletion.id, run_id))
        result = await self._deletion
        return self._ended(DELETED, deleted_at=result["deletedAt"])

    def _ended(self, status: str, **result: Any) -> WireResult:
        self._change(step="completed", status=status)
        if self._deletion is None or self._state.deletion_id is None or self._request is None:
            raise RuntimeError("a deletion has ended before it was started")
        return WireResult(
            success=True,
            deletion_id=self._state.deletion_id,
            tenant_id=self._request.tenant_id,
            status=status,
            workflow_id=self._deletion.id,
            **result,
        )

    def _second(self, request: WireDeletionRequest, first: OpenDeletion) -> WireResult:
        error = f"the tenant is being deleted already, by workflow {first.workflow_id}"
        self._change(step="completed", status=first.status, deletion_id=first.deletion_id, error=error)
        return WireResult(
            success=False,
            deletion_id=first.deletion_id,
            tenant_id=request.tenant_id,
            status=first.status,
            workflow_id=first.workflow_id,
            error=error,
        )

    def _change(self, **changes: Any) -> None:
        self._state = self._state.model_copy(update=changes)

    async def _pass_on(self, signal: str, argument: Message | None) -> None:
        """Signal the deletion once it has started; one that has ended needs no signal."""
        await workflow.wait_condition(lambda: self._deletion is not None)
        if self._deletion is not None:
            try:
                # The deletion warns of an argument that can't be read.
                await self._deletion.signal(signal, argument or {})
            except FailureError:
                workflow.logger.info("a signal came after the end of the deletion")

    @workflow.signal(name="confirmDeletion", unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    async def confirm_deletion(self, argument: Any = None) -> None:
        """Confirm the deletion, by a `ConfirmDeletion`."""
        await self._pass_on("confirmDeletion", parse_signal(ConfirmDeletion, argument))

    @workflow.signal(name="rollbackDeletion", unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    async def rollback_deletion(self, argument: Any = None) -> None:
        """Undo the deletion, by a `RollbackDeletion`."""
        await self._pass_on("rollbackDeletion", parse_signal(RollbackDeletion, argument))

    @workflow.signal(name=STATE_SIGNAL)
    def see_state(self, argument: Any = None) -> None:
        """Show the state of the deletion; only a report that our own process has encrypted has an origin."""
        report = parse_signal(StateReport, argument)
        is_ours = report is not None and report.origin.is_gateway
        if report is not None and is_ours and self._deletion is not None and report.deletion == self._deletion.id:
            self._state = report.state

    @workflow.query(name="getDeletionState")
    def get_deletion_state(self) -> dict[str, Any]:
        """Return the state of the deletion."""
        return self._state.document

    @workflow.query(name="getState")
    def get_state(self) -> dict[str, Any]:
        """Return the same, under the name that Alga's clients call."""
        return self._state.document


def _deletion_request(request: WireDeletionRequest, check: WireCheck, argument: Any) -> DeletionRequest:
    """Return the argument of the deletion, with a warning for each part of the request that is not served."""
    warnings = unknown_fields(WireDeletionRequest, argument)
    if not check.can_export:
        warnings.append(_not_served("nothing is exported before the deletion, because EXPORT_URL is not set"))
    if request.trigger_source in {"nineminds_extension", "manual"}:
        warnings.append(_not_served("Stripe is never called: cancel a subscription of the tenant there"))
    return DeletionRequest(
        **dict(request),
        tenant_name=check.tenant_name,
        export=check.can_export,
        warnings=tuple(warnings),
        origin=Origin(
            requested_by=UNKNOWN_CALLER,
            requested_via=UNKNOWN_CALLER,
            requested_at=workflow.now(),
            start_id=str(workflow.uuid4()),
        ),
    )


def _not_served(detail: str) -> OperationWarning:
    return OperationWarning(code=NOT_SERVED, detail=detail)
