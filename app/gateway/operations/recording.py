"""Inserts the rows of operations that the gateway has started."""

from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.trail import AuditTrail
from activities.database.errors import DATABASE_ERRORS
from activities.database.transactions import Transactions
from activities.errors import FinalError
from activities.operations.rows import OperationRow
from app.gateway.operations.documents import OperationView
from workflows.operations.messages import OperationContext, Origin

log = structlog.get_logger(__name__)


@dataclass(frozen=True, repr=False)
class OperationRecording:
    """Inserts rows of operations in a Temporal namespace."""

    engine: AsyncEngine
    audit: AuditTrail
    namespace: str

    async def record(self, operation: OperationView, origin: Origin) -> None:
        """Insert the operation's row, so that it is listed even if no worker runs; without one the worker does it."""
        context = OperationContext(
            workflow_id=operation.workflow_id,
            run_id=operation.run_id,
            namespace=self.namespace,
            origin=origin,
            snapshot=operation.snapshot,
        )
        try:
            async with Transactions(self.engine).begin() as transaction:
                row = OperationRow(transaction.connection, context)
                await row.ensure()
                for event in row.request_events:
                    await self.audit.append_with_commit(transaction, event)
        except FinalError as error:
            log.warning("the operation's row was refused", workflow_id=operation.workflow_id, code=error.code)
        except DATABASE_ERRORS as error:
            log.warning("the operation has no row", workflow_id=operation.workflow_id, error=type(error).__name__)
