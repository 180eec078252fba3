"""Finds operations in Temporal, or in our own table if Temporal is unavailable or no longer has them."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.trail import AuditTrail
from activities.operations.queries import OperationRecord, find_newest_of_tenant, find_operation
from activities.operations.reconciliation import GONE, ended_outside, settle_ended
from app.auth.callers import Caller
from app.database import DatabaseUnavailableError, database_errors
from app.gateway.expected_errors import EXPECTED_ERRORS
from app.gateway.http.coalescing import CoalescedLookups
from app.gateway.operations.documents import OperationView
from app.gateway.operations.problems import OperationNotFoundError
from app.gateway.operations.schemas import OperationSummary, StatusDocument
from app.temporal.descriptions import TemporalOperation
from app.temporal.errors import ForeignWorkflowError, TemporalUnavailableError, UnknownOperationError
from app.temporal.operations import TemporalOperations
from workflows.operations.failures import START_USED
from workflows.operations.kinds import KINDS
from workflows.tenants.steps import TENANT_CREATION

# Some 14 KiB each. A polling client reads a completed operation once or twice, so that only the newest ones matter.
MAX_CACHED_OPERATIONS = 500
# A list is shown without what Temporal does not say by then.
MAX_REFRESH_SECONDS = 1.0

log = structlog.get_logger(__name__)


class OperationLookup:
    """Finds operations, and caches them: completed ones permanently, others for event streams."""

    def __init__(self, engine: AsyncEngine, operations: TemporalOperations, audit: AuditTrail) -> None:
        self._engine = engine
        self._audit = audit
        self._operations = operations
        # Each operation with the time at which it was read.
        self._cache: OrderedDict[str, tuple[float, OperationView]] = OrderedDict()
        self._lookups = CoalescedLookups(self._look_up)
        self._stopping = asyncio.Event()

    def stop_waiting(self) -> None:
        """End all waits and pauses, because the process is stopping."""
        self._stopping.set()

    async def pause(self, seconds: float) -> bool:
        """Pause, and return whether the process goes on."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return not self._stopping.is_set()

    async def find_for(self, caller: Caller, workflow_id: str, *, max_age: float = 0.0) -> OperationView:
        """Return an operation that the caller may see, read at most `max_age` seconds ago; raises as `find` does.

        A caller that is bound to a tenant sees no operation of another tenant, or whose tenant is unknown yet.
        """
        operation = await self.find(workflow_id, max_age=max_age)
        if not caller.may_see(operation.snapshot.tenant_id):
            raise OperationNotFoundError(is_denial=True)
        return operation

    async def find_creation_for(self, caller: Caller, tenant_id: UUID) -> OperationView:
        """Return the operation that created a tenant, whatever its workflow id; raises as `find_for` does."""
        # Only the rows show which of several operations has created the tenant.
        with database_errors():
            async with self._engine.connect() as connection:
                record = await find_newest_of_tenant(connection, tenant_id, TENANT_CREATION.name)
        known = record.workflow_id if record is not None else TENANT_CREATION.workflow_id(tenant_id)
        return await self.find_for(caller, known)

    async def find(self, workflow_id: str, *, max_age: float = 0.0) -> OperationView:
        """Return an operation.

        Raises:
            OperationNotFoundError: there is no such operation.
            TemporalUnavailableError: Temporal is unavailable, and the operation has no row.
            DatabaseUnavailableError: Temporal does not know the operation, and the database is unavailable.
        """
        now = time.monotonic()
        read_at, cached = self._cache.get(workflow_id, (-inf, None))
        if cached is None or not (cached.is_permanent or now - read_at < max_age):
            cached = await self._lookups.get(workflow_id)
            self._cache[workflow_id] = now, cached
        self._cache.move_to_end(workflow_id)
        if len(self._cache) > MAX_CACHED_OPERATIONS:
            self._cache.popitem(last=False)
        return cached

    async def find_row(self, workflow_id: str) -> OperationView:
        """Return an operation as its row has it; raises as `find` does."""
        record = await self._record(workflow_id)
        if record is None:
            raise OperationNotFoundError
        return _recorded(record)

    async def wait(self, workflow_id: str, seconds: float) -> OperationView:
        """Return an operation once it has ended, or as it is after the given time; raises as `find` does."""
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

    async def wait_if_possible(self, operation: OperationView, seconds: float) -> OperationView:
        """Return a started operation as `wait` does, or as it was if it can't be read: its caller can find it."""
        try:
            return await self.wait(operation.workflow_id, seconds)
        except (TemporalUnavailableError, DatabaseUnavailableError):
            return operation

    async def refresh(self, listed: Sequence[OperationSummary], *, max_age: float) -> list[OperationSummary]:
        """Return listed operations as they are now; their rows show no wait, and no progress.

        Those that can't be read in time stay as they were recorded.
        """
        reads = {
            operation.workflow_id: asyncio.create_task(self.find(operation.workflow_id, max_age=max_age))
            for operation in listed
            if not operation.has_ended
        }
        if reads:
            await asyncio.wait(reads.values(), timeout=MAX_REFRESH_SECONDS)
        current = {workflow_id: _current(read) for workflow_id, read in reads.items()}
        return [current.get(operation.workflow_id) or operation for operation in listed]

    async def _look_up(self, workflow_id: str) -> OperationView:
        try:
            described = await self._operations.describe(workflow_id)
        except ForeignWorkflowError:
            raise OperationNotFoundError from None
        except UnknownOperationError:
            record = await self._record(workflow_id)
            if record is None:
                raise OperationNotFoundError from None
            if not record.snapshot.has_ended:
                record = replace(record, snapshot=ended_outside(record.snapshot, GONE))
            return _recorded(record)
        except TemporalUnavailableError:
            # The caller gets this error if the database is unavailable, too.
            record = None
            with suppress(DatabaseUnavailableError):
                record = await self._record(workflow_id)
            if record is None:
                raise
            return _recorded(record)
        if described.snapshot.error is not None and described.snapshot.error.code == START_USED:
            return await self.find_row(workflow_id)
        if described.closed_as is not None:
            return await self._settle(described, described.closed_as)
        return OperationView.of_temporal(described)

    async def _settle(self, operation: TemporalOperation, reason: str) -> OperationView:
        """Close the row of an operation whose workflow was ended in Temporal, and return how it ended.

        Only the row shows a commit. Once it is closed, no attempt can commit and contradict the response.
        """
        try:
            context = await self._operations.context_of(operation)
        except UnknownOperationError:
            # It was deleted in Temporal a moment ago.
            return await self.find_row(operation.workflow_id)
        if KINDS[operation.snapshot.kind].is_staged:
            # Only a worker can undo its steps.
            record = await self._record(operation.workflow_id)
            if record is None or record.snapshot.committed_at is None:
                return OperationView.of_temporal(operation)
        with database_errors():
            async with self._engine.begin() as connection:
                record = await settle_ended(connection, context, reason, self._audit)
        return _recorded(record) if record is not None else OperationView.of_temporal(operation)

    async def _record(self, workflow_id: str) -> OperationRecord | None:
        with database_errors():
            async with self._engine.connect() as connection:
                return await find_operation(connection, workflow_id)


def _current(read: asyncio.Task[OperationView]) -> StatusDocument | None:
    """Return what was read, or None if the read has failed or takes too long."""
    if not read.done():
        read.cancel()
        return None
    error = read.exception()
    if error is None:
        return read.result().document
    if isinstance(error, EXPECTED_ERRORS):
        return None
    raise error


def _recorded(record: OperationRecord) -> OperationView:
    return OperationView(record.workflow_id, record.run_id, record.snapshot, is_open=not record.snapshot.has_ended)
