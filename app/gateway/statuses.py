"""Where operations stand: from Temporal first, from our own table where Temporal is away or has forgotten them."""

import asyncio
from collections import OrderedDict

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.operations import OperationRecord, find_operation
from app.gateway.database import DatabaseUnavailableError, database_errors
from app.gateway.documents import OperationView
from app.gateway.problems import OperationNotFoundError
from app.temporal.operations import (
    DescribedOperation,
    ForeignWorkflowError,
    OperationsPort,
    TemporalUnavailableError,
    UnknownOperationError,
)

# Some 3 KiB each.
MOST_FINISHED = 5000

log = structlog.get_logger(__name__)


class Statuses:
    """Finds operations; finished ones are kept, because they never change."""

    def __init__(self, engine: AsyncEngine, operations: OperationsPort) -> None:
        self._engine = engine
        self._operations = operations
        self._finished: OrderedDict[str, OperationView] = OrderedDict()
        self._stopping = asyncio.Event()

    def stop_waiting(self) -> None:
        """Let everybody who waits for an operation have it as it stands, because the process is to end."""
        self._stopping.set()

    async def find(self, workflow_id: str) -> OperationView:
        """The operation as it stands.

        Raises:
            OperationNotFoundError: there is no such operation.
            TemporalUnavailableError: Temporal is away, and the operation has no row.
            DatabaseUnavailableError: Temporal does not know the operation, and the database is away.
        """
        if (kept := self._finished.get(workflow_id)) is not None:
            self._finished.move_to_end(workflow_id)
            return kept
        try:
            return self._described(await self._operations.describe(workflow_id))
        except ForeignWorkflowError:
            raise OperationNotFoundError from None
        except UnknownOperationError:
            record = await self._record(workflow_id)
            if record is None:
                raise OperationNotFoundError from None
            return OperationView(workflow_id, record.snapshot, is_open=False)
        except TemporalUnavailableError:
            record = await self._record_if_possible(workflow_id)
            if record is None:
                raise
            return OperationView(workflow_id, record.snapshot, is_open=not record.snapshot.status.is_final)

    async def wait(self, workflow_id: str, seconds: float) -> OperationView:
        """The operation once it has ended, or as it stands after the given time; raises as `find` does."""
        ended = asyncio.create_task(self._operations.wait(workflow_id, seconds))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                await ended
        except TemporalUnavailableError as error:
            log.warning("could not wait for an operation", workflow_id=workflow_id, reason=str(error))
        finally:
            ended.cancel()
            stopping.cancel()
        return await self.find(workflow_id)

    def _described(self, operation: DescribedOperation) -> OperationView:
        is_final = operation.snapshot.status.is_final
        # A workflow says how it ended a moment before Temporal closes it.
        is_open = operation.is_open and not is_final
        view = OperationView(operation.workflow_id, operation.snapshot, is_open=is_open, described=operation)
        # Under an id that a client of Temporal chose, another operation may follow.
        if operation.is_own and is_final:
            self._finished[operation.workflow_id] = view
            if len(self._finished) > MOST_FINISHED:
                self._finished.popitem(last=False)
        return view

    async def _record(self, workflow_id: str) -> OperationRecord | None:
        with database_errors():
            async with self._engine.connect() as connection:
                return await find_operation(connection, workflow_id)

    async def _record_if_possible(self, workflow_id: str) -> OperationRecord | None:
        try:
            return await self._record(workflow_id)
        except DatabaseUnavailableError:
            # The caller is told of Temporal's absence then.
            return None
