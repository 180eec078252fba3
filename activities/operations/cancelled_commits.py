"""Explains why the commit of an operation failed if a cancellation came before it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.errors import is_not_null_violation
from activities.database.own_tables import operations
from activities.errors import CancelRequestedError, FinalError
from activities.operations.rows import OperationRow
from workflows.operations.failures import OPERATION_CLOSED
from workflows.operations.messages import OperationContext


@asynccontextmanager
async def cancellable_commit(engine: AsyncEngine, context: OperationContext) -> AsyncIterator[None]:
    """Raise `CancelRequestedError` if the block failed because `OperationRow.commit_statement` met a cancellation."""
    try:
        yield
    except DBAPIError as error:
        if not is_not_null_violation(error, operations):
            raise
        async with engine.connect() as connection:
            cancel = await OperationRow(connection, context).find_cancellation()
        if cancel is None:
            raise FinalError(OPERATION_CLOSED, "the cancel that stopped the commit has vanished") from None
        raise CancelRequestedError(cancel) from None
