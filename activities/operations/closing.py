"""Finds out whether an operation can still be closed without a commit."""

from activities.operations.rows import OperationRow
from workflows.operations.messages import Closure


async def lock_for_closing(row: OperationRow) -> Closure | None:
    """Lock the row, inserted if there is none; return how the operation ended or what it committed, None if neither.

    Waits for a running attempt.
    """
    locked = await row.lock()
    if locked is None:
        await row.insert(has_ended=True)
    elif locked.committed is not None:
        return Closure(committed=locked.committed)
    elif locked.has_ended:
        record = await row.load()
        return Closure(ended=record.snapshot if record is not None else None)
    return None
