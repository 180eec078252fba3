"""Commits the whole work of an operation in one short transaction, once."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.trail import AuditTrail
from activities.database.transactions import Transaction, Transactions
from activities.errors import activity_errors
from activities.operations.cancelled_commits import cancellable_commit
from activities.operations.rows import OperationRow
from activities.operations.step_clock import StepClock
from workflows.operations.messages import Committed, OperationContext

Change: TypeAlias = Callable[[Transaction, StepClock], Awaitable[Mapping[str, Any]]]


async def commit_once(
    engine: AsyncEngine, audit: AuditTrail, context: OperationContext, activity: str, change: Change
) -> Committed:
    """Run `change`, whose value is the operation's result, and commit; an operation that has committed stays so.

    Raises `ApplicationError`, whose details name the step, with nothing written.
    """
    steps = StepClock(context)
    with activity_errors(activity, lambda: steps.current):
        async with cancellable_commit(engine, context), Transactions(engine).begin() as transaction:
            row = OperationRow(transaction.connection, context)
            locked = await row.ensure_locked()
            if locked.committed is not None:
                return locked.committed
            await row.check_open(locked)
            committed = steps.committed(await change(transaction, steps))
            transaction.run_with_commit(row.commit_statement(committed))
            for event in row.request_events:
                await audit.append_with_commit(transaction, event)
    return committed
