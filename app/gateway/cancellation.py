"""Cancels operations."""

from dataclasses import replace

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit_events import Action, AuditEvent
from activities.database_errors import DATABASE_ERRORS
from activities.operations import request_cancel
from activities.reconciliation import cancel_ended_outside
from app.audit_trail import requested
from app.auth.callers import Requester
from app.gateway.auditing import Auditing
from app.gateway.database import database_errors
from app.gateway.documents import STOPPING, OperationView
from app.gateway.problems import ProblemError
from app.gateway.statuses import Statuses
from app.temporal.described import DescribedOperation
from app.temporal.errors import OperationEndedError, OperationExistsError, TemporalUnavailableError
from app.temporal.operations import OperationsPort
from workflows.messages import CancelRequest, OperationStatus

log = structlog.get_logger(__name__)


class Cancellation:
    """Asks operations to stop and clean up."""

    def __init__(
        self, engine: AsyncEngine, operations: OperationsPort, statuses: Statuses, auditing: Auditing
    ) -> None:
        self._engine = engine
        self._operations = operations
        self._statuses = statuses
        self._auditing = auditing

    async def cancel(self, workflow_id: str, requester: Requester, reason: str | None) -> OperationView:
        """Ask the operation to stop; one that is stopping already is left alone.

        One whose workflow was ended from outside is cleaned up by another workflow.

        Raises:
            ProblemError: there is no such operation, or it has ended.
            TemporalUnavailableError: Temporal is away.
            DatabaseUnavailableError: the database is, and the workflow was ended from outside.
        """
        operation = await self._statuses.find_for(requester.caller, workflow_id)
        request = CancelRequest(reason=reason, cancelled_by=requester.name, cancelled_via=requester.caller.identity)
        event = requested(
            Action.OPERATION_CANCEL,
            requester,
            workflow_id=workflow_id,
            tenant_id=operation.snapshot.tenant_id,
            details={"reason": reason} if reason is not None else None,
        )
        if operation.has_ended_outside:
            return await self._clean_up(operation, request, event)
        if not operation.is_open:
            raise _finished()
        if operation.described is None:
            raise TemporalUnavailableError("an operation can't be cancelled by its row")
        if operation.snapshot.status in STOPPING:
            return operation
        try:
            await self._operations.cancel(operation.described, request)
        except OperationEndedError:
            raise _finished() from None
        await self._stop_steps(operation.described, request, event)
        return _cancelling(operation, request)

    async def _clean_up(self, operation: OperationView, request: CancelRequest, event: AuditEvent) -> OperationView:
        """Remove what an operation has left that can't do so itself any more."""
        with database_errors():
            async with self._engine.begin() as connection:
                noted = await cancel_ended_outside(connection, operation.workflow_id, operation.run_id, request)
                if noted is None:
                    # It was closed meanwhile, because nothing was left.
                    raise _finished()
                await self._auditing.trail.append(connection, event)
        snapshot = operation.snapshot
        if snapshot.tenant_id is None:
            snapshot = snapshot.model_copy(update={"tenant_id": noted.tenant_id})
        try:
            started = await self._operations.clean_up(operation.workflow_id, operation.run_id, snapshot, request)
        except OperationExistsError:
            # Another request was quicker.
            return await self._statuses.find(operation.workflow_id)
        return OperationView(started.workflow_id, operation.run_id, started.snapshot, is_open=True, described=started)

    async def _stop_steps(self, operation: DescribedOperation, request: CancelRequest, event: AuditEvent) -> None:
        """Let no further step begin, even of those that the workflow runs in one go and sees no signal between."""
        try:
            async with self._engine.begin() as connection:
                if await request_cancel(connection, operation.workflow_id, operation.run_id, request):
                    await self._auditing.trail.append(connection, event)
        except DATABASE_ERRORS as error:
            # The signal is under way, and stops the operation all the same, if a step or two later.
            log.warning("a cancel was not noted", workflow_id=operation.workflow_id, error=type(error).__name__)
            self._auditing.later.note(event)


def _cancelling(operation: OperationView, request: CancelRequest) -> OperationView:
    """The operation as the workflow will show it; a workflow whose worker is busy or away shows it later."""
    changes = {
        "status": OperationStatus.CANCELLING,
        "cancelled_by": request.cancelled_by,
        "cancelled_via": request.cancelled_via,
        "cancel_reason": request.reason,
    }
    return replace(operation, snapshot=operation.snapshot.model_copy(update=changes))


def _finished() -> ProblemError:
    return ProblemError(409, "operation-finished", "the operation has ended, so there is nothing to cancel")
