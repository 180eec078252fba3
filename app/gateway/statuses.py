"""Where operations stand: from Temporal first, from our own table where Temporal is away or has forgotten them."""

import asyncio
from collections import OrderedDict
from contextlib import suppress
from dataclasses import replace

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.operation_records import OperationRecord, find_operation
from activities.reconciliation import ENDED_OUTSIDE, GONE, is_closed
from app.auth.callers import Caller
from app.gateway.coalescing import Coalesced
from app.gateway.database import DatabaseUnavailableError, database_errors
from app.gateway.documents import OperationView
from app.gateway.problems import OperationNotFoundError
from app.temporal.described import DescribedOperation, ended_outside
from app.temporal.errors import ForeignWorkflowError, TemporalUnavailableError, UnknownOperationError
from app.temporal.operations import OperationsPort
from workflows.messages import OperationError, OperationStatus

# Some 14 KiB each. Who polls asks once or twice more after the end, so that the newest are all that matters.
MOST_FINISHED = 500

log = structlog.get_logger(__name__)


class Statuses:
    """Finds operations; finished ones are kept, because they never change."""

    def __init__(self, engine: AsyncEngine, operations: OperationsPort) -> None:
        self._engine = engine
        self._operations = operations
        self._finished: OrderedDict[str, OperationView] = OrderedDict()
        self._looks = Coalesced(self._look)
        self._stopping = asyncio.Event()

    def stop_waiting(self) -> None:
        """Let everybody who waits for an operation have it as it stands, because the process is to end."""
        self._stopping.set()

    async def pause(self, seconds: float) -> bool:
        """Let some time pass; False where there is none left, because the process is to end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return not self._stopping.is_set()

    async def find_for(self, caller: Caller, workflow_id: str) -> OperationView:
        """The operation as it stands; raises as `find` does.

        To a caller that is bound to another tenant there is no such operation. One whose tenant is not known yet
        belongs to nobody.
        """
        operation = await self.find(workflow_id)
        if not caller.may_see(operation.snapshot.tenant_id):
            raise OperationNotFoundError(is_denial=True)
        return operation

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
        return await self._looks.get(workflow_id)

    async def _look(self, workflow_id: str) -> OperationView:
        try:
            described = await self._operations.describe(workflow_id)
        except ForeignWorkflowError:
            raise OperationNotFoundError from None
        except UnknownOperationError:
            record = await self._record(workflow_id)
            if record is None:
                raise OperationNotFoundError from None
            return _forgotten(record)
        except TemporalUnavailableError:
            record = await self._record_if_possible(workflow_id)
            if record is None:
                raise
            return _recorded(record, is_open=not record.snapshot.status.is_final)
        if described.ended_how is not None:
            return await self._ended_outside(described)
        return self._described(described)

    async def recorded(self, workflow_id: str) -> OperationView:
        """The operation as its row has it, which is known to be there; raises as `find` does."""
        record = await self._record(workflow_id)
        if record is None:
            raise OperationNotFoundError
        return _recorded(record, is_open=not record.snapshot.status.is_final)

    async def product_of(self, workflow_id: str) -> str | None:
        """The product that the operation's tenant is of, as far as the row tells; none where it can't be read."""
        record = await self._record_if_possible(workflow_id)
        return record.product_code if record is not None else None

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
        view = OperationView(
            operation.workflow_id, operation.run_id, operation.snapshot, is_open=is_open, described=operation
        )
        # Under an id that a client of Temporal chose, another operation may follow.
        if operation.is_own and is_final:
            self._finished[operation.workflow_id] = view
            if len(self._finished) > MOST_FINISHED:
                self._finished.popitem(last=False)
        return view

    async def _ended_outside(self, operation: DescribedOperation) -> OperationView:
        """What the row knows better of an operation whose workflow was ended by somebody else."""
        try:
            record = await self._record(operation.workflow_id)
        except DatabaseUnavailableError:
            return self._described(operation)
        if record is None or (record.run_id != operation.run_id and not operation.is_cleanup):
            return _without_trace(operation)
        tenant_id = operation.snapshot.tenant_id or record.snapshot.tenant_id
        if is_closed(record.snapshot):
            return _recorded(record, is_open=False)
        if tenant_id is None:
            return _without_trace(operation)
        snapshot = operation.snapshot.model_copy(update={"tenant_id": tenant_id})
        return replace(self._described(operation), run_id=record.run_id, snapshot=snapshot)

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


def _recorded(record: OperationRecord, *, is_open: bool) -> OperationView:
    return OperationView(record.workflow_id, record.run_id, record.snapshot, is_open=is_open)


def _forgotten(record: OperationRecord) -> OperationView:
    """An operation that Temporal does not know any more: over for long, or its history was deleted under it."""
    if not is_closed(record.snapshot):
        record = replace(record, snapshot=ended_outside(record.snapshot, GONE))
    return _recorded(record, is_open=False)


def _without_trace(operation: DescribedOperation) -> OperationView:
    """An operation that was ended before its first step: that step would have written its row, and its tenant id."""
    error = OperationError(code=ENDED_OUTSIDE, detail="the workflow was ended in Temporal before its first step")
    changes = {"status": OperationStatus.FAILED, "error": error, "finished_at": operation.snapshot.updated_at}
    snapshot = operation.snapshot.model_copy(update=changes)
    return OperationView(operation.workflow_id, operation.run_id, snapshot, is_open=False, described=operation)
