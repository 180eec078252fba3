"""Cancels operations."""

from dataclasses import dataclass, replace

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.events import Action, AuditEvent
from activities.database.errors import DATABASE_ERRORS
from activities.operations.queries import find_run
from activities.operations.rows import request_cancel
from app.audit.recorder import AuditRecorder
from app.auth.callers import Requester
from app.gateway.access.parameters import require_scope
from app.gateway.http.problems.problem import ProblemError
from app.gateway.operations.documents import OperationView
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.problems import OperationCommittedError, OperationFinishedError
from app.temporal.errors import OperationEndedError
from app.temporal.operations import TemporalOperations
from workflows.operations.messages import Cancellation
from workflows.operations.statuses import OperationStatus

log = structlog.get_logger(__name__)


@dataclass(frozen=True, repr=False)
class OperationCancellation:
    """Cancels operations before their commit."""

    engine: AsyncEngine
    operations: TemporalOperations
    lookup: OperationLookup
    recorder: AuditRecorder

    async def cancel(self, workflow_id: str, requester: Requester, reason: str | None) -> OperationView:
        """Cancel an operation, unless it is stopping already.

        Raises:
            ProblemError: there is no such operation, the caller lacks its kind's scope, or it is committed or ended.
            TemporalUnavailableError: Temporal is unavailable.
        """
        operation = await self.lookup.find_for(requester.caller, workflow_id)
        require_scope(requester.caller, operation.kind.cancel_scope)
        snapshot = operation.snapshot
        if not operation.is_open or snapshot.committed_at is not None:
            raise _too_late(operation)
        described = operation.in_temporal
        if snapshot.status.is_stopping:
            return operation
        cancellation = Cancellation(reason=reason, by=requester.name, via=requester.caller.identity)
        try:
            await self.operations.cancel(described, cancellation)
        except OperationEndedError:
            raise _too_late(operation) from None
        event = requester.audit_event(
            Action.OPERATION_CANCEL,
            workflow_id=workflow_id,
            tenant_id=snapshot.tenant_id,
            details={"reason": reason} if reason is not None else None,
        )
        await self._prevent_commit(operation, cancellation, event)
        # A workflow without a worker shows this later.
        status = operation.kind.stopping_status(snapshot)
        return replace(operation, snapshot=snapshot.at_work(status=status, **cancellation.shown))

    async def _prevent_commit(self, operation: OperationView, cancellation: Cancellation, event: AuditEvent) -> None:
        """Prevent the commit of a running transaction, which receives no signal.

        Raises `OperationCommittedError` if it has committed.
        """
        workflow_id, run_id = operation.workflow_id, operation.run_id
        try:
            async with self.engine.begin() as connection:
                is_first = await request_cancel(connection, workflow_id, run_id, cancellation)
                record = await find_run(connection, workflow_id, run_id)
                if record is not None and record.snapshot.committed_at is not None:
                    raise _too_late(replace(operation, snapshot=record.snapshot))
                if is_first:
                    await self.recorder.trail.append(connection, event)
        except DATABASE_ERRORS as error:
            # The signal still stops the operation, unless it commits first.
            log.warning("a cancel was not recorded", workflow_id=workflow_id, error=type(error).__name__)
            self.recorder.buffer.add(event)


def _too_late(operation: OperationView) -> ProblemError:
    snapshot = operation.snapshot
    if snapshot.status is OperationStatus.COMPLETED or snapshot.committed_at is not None:
        undo = operation.kind.undo.format(tenant_id=snapshot.tenant_id)
        return OperationCommittedError(f"{OperationCommittedError.default_detail}; {undo}")
    return OperationFinishedError()
