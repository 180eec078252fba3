"""Reads from our own rows what a step after the commit works for, because its input is not trusted."""

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.errors import FinalError
from activities.operations.queries import find_run
from workflows.operations.kinds import OperationKind
from workflows.operations.messages import OperationContext, OperationSnapshot

NOT_COMMITTED = "not-committed"


async def pending_step(
    connection: AsyncConnection, context: OperationContext, kind: OperationKind, step: str
) -> OperationSnapshot:
    """Return the operation, if it is committed and open, and the step is to be done; raises `FinalError` if not."""
    record = await find_run(connection, context.workflow_id, context.run_id)
    snapshot = record.snapshot if record is not None else None
    if (
        snapshot is None
        or snapshot.kind != kind.name
        or snapshot.committed_at is None
        or snapshot.has_ended
        or not any(line.name == step and not line.is_done for line in snapshot.steps)
    ):
        raise FinalError(NOT_COMMITTED, f"no operation that is committed and open asks for the step {step}")
    return snapshot
