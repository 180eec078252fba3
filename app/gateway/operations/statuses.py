"""Finds operations: in Temporal first, in our own table if Temporal is unavailable or has forgotten them."""

import asyncio
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.trail import AuditTrail
from activities.operations.reconciliation import GONE, settle_ended
from activities.operations.records import OperationRecord, find_newest_of_tenant, find_operation
from app.auth.callers import Caller
from app.database import DatabaseUnavailableError, database_errors
from app.gateway.http.coalescing import Coalesced
from app.gateway.operations.documents import OperationView
from app.gateway.operations.problems import OperationNotFoundError
from app.temporal.described import DescribedOperation, ended_outside
from app.temporal.errors import ForeignWorkflowError, TemporalUnavailableError, UnknownOperationError
from app.temporal.operations import OperationsPort
from workflows.operations.failures import START_USED
from workflows.operations.messages import OperationStatus
from workflows.tenants.steps import TENANT_CREATION

# Some 14 KiB each. Who polls asks once or twice more after the end, so that the newest are all that matters.
MAX_COMPLETED = 500
# Operations that are followed by several event streams at the same time.
MAX_RECENT = 200

log = structlog.get_logger(__name__)


class Statuses:
    """Finds operations; completed ones are kept, because they never change."""

    def __init__(self, engine: AsyncEngine, operations: OperationsPort, audit: AuditTrail) -> None:
        self._engine = engine
        self._audit = audit
        self._operations = operations
        self._completed: OrderedDict[str, OperationView] = OrderedDict()
        self._recent: OrderedDict[str, tuple[float, OperationView]] = OrderedDict()
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

    async def find_for(self, caller: Caller, workflow_id: str, *, max_age: float = 0.0) -> OperationView:
        """The operation as it stands, or stood at most so many seconds ago; raises as `find` does.

        To a caller that is bound to another tenant there is no such operation. One whose tenant is not known yet
        belongs to nobody.
        """
        operation = await (self._find_recent(workflow_id, max_age) if max_age else self.find(workflow_id))
        if not caller.may_see(operation.snapshot.tenant_id):
            raise OperationNotFoundError(is_denial=True)
        return operation

    async def find_creation_for(self, caller: Caller, tenant_id: UUID) -> OperationView:
        """Return the operation that created a tenant, whoever chose its workflow id; raises as `find_for` does."""
        # Without the rows there is no telling which of several operations has made the tenant.
        with database_errors():
            async with self._engine.connect() as connection:
                record = await find_newest_of_tenant(connection, tenant_id, TENANT_CREATION.name)
        known = record.workflow_id if record is not None else TENANT_CREATION.workflow_id(tenant_id)
        return await self.find_for(caller, known)

    async def find(self, workflow_id: str) -> OperationView:
        """The operation as it stands.

        Raises:
            OperationNotFoundError: there is no such operation.
            TemporalUnavailableError: Temporal is away, and the operation has no row.
            DatabaseUnavailableError: Temporal does not know the operation, and the database is away.
        """
        if (kept := self._completed.get(workflow_id)) is not None:
            self._completed.move_to_end(workflow_id)
            return kept
        return await self._looks.get(workflow_id)

    async def _find_recent(self, workflow_id: str, max_age: float) -> OperationView:
        now = time.monotonic()
        kept = self._recent.get(workflow_id)
        if kept is not None and now - kept[0] <= max_age:
            return kept[1]
        view = await self.find(workflow_id)
        self._recent[workflow_id] = now, view
        self._recent.move_to_end(workflow_id)
        if len(self._recent) > MAX_RECENT:
            self._recent.popitem(last=False)
        return view

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
            return _recorded(record, is_open=not record.snapshot.has_ended)
        if described.snapshot.error is not None and described.snapshot.error.code == START_USED:
            return await self.recorded(workflow_id)
        if described.closed_as is not None:
            return await self._settled(described, described.closed_as)
        return self._described(described)

    async def recorded(self, workflow_id: str) -> OperationView:
        """The operation as its row has it, which is known to be there; raises as `find` does."""
        record = await self._record(workflow_id)
        if record is None:
            raise OperationNotFoundError
        return _recorded(record, is_open=not record.snapshot.has_ended)

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
        snapshot = operation.snapshot
        # A workflow says how it ended a moment before Temporal closes it.
        is_open = operation.is_open and not snapshot.has_ended
        view = OperationView(operation.workflow_id, operation.run_id, snapshot, is_open=is_open, described=operation)
        # Under an id that a client of Temporal chose, or that has become free, another operation may follow.
        if operation.has_own_id and snapshot.status is OperationStatus.COMPLETED:
            self._completed[operation.workflow_id] = view
            if len(self._completed) > MAX_COMPLETED:
                self._completed.popitem(last=False)
        return view

    async def _settled(self, operation: DescribedOperation, reason: str) -> OperationView:
        """Return how an operation ended whose workflow was ended by somebody else: only the row knows of a commit.

        Closing the row here and now makes sure that no attempt commits after it was said how the operation ended.
        """
        try:
            context = await self._operations.context_of(operation)
        except UnknownOperationError:
            # It was deleted in Temporal a moment ago.
            return await self.recorded(operation.workflow_id)
        with database_errors():
            async with self._engine.begin() as connection:
                record = await settle_ended(connection, context, reason, self._audit)
        return _recorded(record, is_open=False) if record is not None else self._described(operation)

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
    """Return an operation that Temporal does not know any more, because it is long over or was deleted there."""
    if not record.snapshot.has_ended:
        record = replace(record, snapshot=ended_outside(record.snapshot, GONE))
    return _recorded(record, is_open=False)
