"""Cancels operations."""

from dataclasses import replace

from app.auth.callers import Caller
from app.gateway.documents import STOPPING, OperationView
from app.gateway.problems import ProblemError
from app.gateway.statuses import Statuses
from app.temporal.operations import OperationEndedError, OperationsPort, TemporalUnavailableError
from workflows.messages import CancelRequest, OperationStatus


class Cancellation:
    """Asks operations to stop and clean up."""

    def __init__(self, operations: OperationsPort, statuses: Statuses) -> None:
        self._operations = operations
        self._statuses = statuses

    async def cancel(self, workflow_id: str, caller: Caller, reason: str | None) -> OperationView:
        """Ask the operation to stop; one that is stopping already is left alone.

        Raises:
            ProblemError: there is no such operation, or it has ended.
            TemporalUnavailableError: Temporal is away.
        """
        operation = await self._statuses.find(workflow_id)
        if not operation.is_open:
            raise _finished()
        if operation.described is None:
            raise TemporalUnavailableError("an operation can't be cancelled by its row")
        if operation.snapshot.status in STOPPING:
            return operation
        request = CancelRequest(reason=reason, cancelled_by=caller.identity)
        try:
            await self._operations.cancel(operation.described, request)
        except OperationEndedError:
            raise _finished() from None
        return _cancelling(operation, request)


def _cancelling(operation: OperationView, request: CancelRequest) -> OperationView:
    """The operation as the workflow will show it; a workflow whose worker is busy or away shows it later."""
    changes = {
        "status": OperationStatus.CANCELLING,
        "cancelled_by": request.cancelled_by,
        "cancel_reason": request.reason,
    }
    return replace(operation, snapshot=operation.snapshot.model_copy(update=changes))


def _finished() -> ProblemError:
    return ProblemError(409, "operation-finished", "the operation has ended, so there is nothing to cancel")
