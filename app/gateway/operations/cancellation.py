"""Cancels operations."""

from dataclasses import replace

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.events import Action, AuditEvent
from activities.database.errors import DATABASE_ERRORS
from activities.operations.records import find_run
from activities.operations.rows import request_cancel
from app.audit.recorder import AuditRecorder
from app.auth.callers import Requester, requested
from app.gateway.access.required_scopes import require_scope
from app.gateway.http.problems.problem import ProblemError
from app.gateway.operations.documents import OperationView
from app.gateway.operations.problems import OperationCommittedError, OperationFinishedError
from app.gateway.operations.statuses import Statuses
from app.temporal.errors import OperationEndedError, TemporalUnavailableError
from app.temporal.operations import TemporalOperations
from workflows.operations.messages import Cancellation
from workflows.operations.statuses import OperationStatus

log = structlog.get_logger(__name__)


class OperationCancellation:
    """Asks operations to stop."""

    def __init__(
        self, engine: AsyncEngine, operations: TemporalOperations, statuses: Statuses, recorder: AuditRecorder
    ) -> None:
        self._engine = engine
        self._operations = operations
        self._statuses = statuses
        self._recorder = recorder

    async def cancel(self, workflow_id: str, requester: Requester, reason: str | None) -> OperationView:
        """Ask the operation to stop before its commit; one that is stopping already is left alone.

        Raises:
            ProblemError: there is no such operation, the caller lacks its kind's scope, or it is committed or ended.
            TemporalUnavailableError: Temporal is unavailable.
        """
        operation = await self._statuses.find_for(requester.caller, workflow_id)
        require_scope(requester.caller, operation.kind.cancel_scope)
        snapshot = operation.snapshot
        if not operation.is_open or snapshot.committed_at is not None:
            raise _too_late(operation)
        if operation.described is None:
            raise TemporalUnavailableError("an operation can't be cancelled by its row")
        if snapshot.status.is_stopping:
            return operation
        request = Cancellation(reason=reason, by=requester.name, via=requester.caller.identity)
        try:
            await self._operations.cancel(operation.described, request)
        except OperationEndedError:
            raise _too_late(operation) from None
        event = requested(
            Action.OPERATION_CANCEL,
            requester,
            workflow_id=workflow_id,
            tenant_id=snapshot.tenant_id,
            details={"reason": reason} if reason is not None else None,
        )
        await self._prevent_commit(operation, request, event)
        return _cancelling(operation, request)

    async def _prevent_commit(self, operation: OperationView, request: Cancellation, event: AuditEvent) -> None:
        """Let the transaction that may be running commit no more: it sees no signal.

        Raises `ProblemError` if it has committed.
        """
        workflow_id, run_id = operation.workflow_id, operation.run_id
        try:
            async with self._engine.begin() as connection:
                is_first = await request_cancel(connection, workflow_id, run_id, request)
                record = await find_run(connection, workflow_id, run_id)
                if record is not None and record.snapshot.committed_at is not None:
                    raise _too_late(replace(operation, snapshot=record.snapshot))
                if is_first:
                    await self._recorder.trail.append(connection, event)
        except DATABASE_ERRORS as error:
            # The signal is under way, and stops the operation all the same, unless it has committed by then.
            log.warning("a cancel was not noted", workflow_id=workflow_id, error=type(error).__name__)
            self._recorder.buffer.add(event)


def _cancelling(operation: OperationView, request: Cancellation) -> OperationView:
    """The operation as the workflow will show it; a workflow whose worker is busy or away shows it later."""
    changes = {
        "status": OperationStatus.CANCELLING,
        **request.shown,
    }
    return replace(operation, snapshot=operation.snapshot.model_copy(update=changes))


def _too_late(operation: OperationView) -> ProblemError:
    snapshot = operation.snapshot
    if snapshot.status is OperationStatus.COMPLETED or snapshot.committed_at is not None:
        undo = operation.kind.undo.format(tenant_id=snapshot.tenant_id)
        return OperationCommittedError(f"{OperationCommittedError.default_detail}; {undo}")
    return OperationFinishedError()
