"""Compares unfinished operations with Temporal: shows what they wait for, and closes those that were ended there."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.trail import AuditTrail
from activities.operations.reconciliation import GONE, close_ended_outside, mirror
from activities.operations.records import (
    OperationRecord,
    UnreadableRecord,
    find_operation,
    find_runs,
    unfinished_operations,
)
from activities.operations.rows import OperationRow
from app.telemetry.metrics.definitions import RECONCILE_FAILURES
from app.temporal.described import TemporalOperation
from app.temporal.errors import (
    OperationEndedError,
    TemporalUnavailableError,
    UnknownOperationError,
    UnreadableOperationError,
)
from app.temporal.operations import ListedOperation, TemporalOperations
from workflows.operations.messages import OperationSnapshot, ResumeRequest
from workflows.operations.statuses import OperationStatus

PAGE = 100
# Rows that were written a moment ago belong to transactions at work.
UNTOUCHED = timedelta(seconds=5)
# A workflow that was ended in Temporal without a row is looked for this long: enough for any outage of the workers.
RECENTLY_CLOSED = timedelta(days=7)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Finding:
    """An operation whose row was not as its workflow is, and what its row says now."""

    workflow_id: str
    run_id: str
    tenant_id: str | None
    status: OperationStatus
    detail: str


class Reconciler:
    """Safe to run twice, and by several workers at once: a row that was written in the meantime is left alone."""

    def __init__(self, engine: AsyncEngine, operations: TemporalOperations, audit: AuditTrail) -> None:
        self._engine = engine
        self._audit = audit
        self._operations = operations

    async def reconcile(self, *, untouched_for: timedelta = timedelta(0)) -> AsyncIterator[Finding]:
        """Yield every operation that was not as its row said.

        One that can't be compared, whatever the reason, is logged and counted, and the others are compared all the
        same.

        Raises:
            TemporalUnavailableError: Temporal is unavailable; what was not reached stays as it was.
            OSError or sqlalchemy.exc.DBAPIError: the database is.
        """
        async for found in self._adopt_unrecorded(datetime.now(UTC) - untouched_for):
            yield found
        after: tuple[str, str] | None = None
        while True:
            async with self._engine.connect() as connection:
                page = await unfinished_operations(
                    connection, self._operations.namespace, untouched_for=untouched_for, limit=PAGE, after=after
                )
            for record in page:
                if isinstance(record, UnreadableRecord):
                    _note_failure(record.workflow_id, "its row is not understood")
                    continue
                finding = await self._isolated(record.workflow_id, partial(self._reconcile, record))
                if finding is not None:
                    yield finding
            if len(page) < PAGE:
                return
            after = (page[-1].workflow_id, page[-1].run_id)

    async def reconcile_one(self, workflow_id: str) -> tuple[OperationRecord | None, Finding | None]:
        """Return the newest operation of that workflow id as its row has it, and what was found if that was wrong.

        Raises as `reconcile`, and `UnreadableOperationError` if it can't be decrypted or understood.
        """
        record = await self._find(workflow_id)
        if record is None:
            try:
                workflow = await self._operations.describe(workflow_id)
            except UnknownOperationError:
                return None, None
            await self._adopt(workflow_id, workflow.run_id)
            record = await self._find(workflow_id)
        if record is None or record.snapshot.has_ended:
            return record, None
        return record, await self._reconcile(record)

    async def _isolated(self, workflow_id: str, look: Callable[[], Awaitable[Finding | None]]) -> Finding | None:
        """Return what the look finds; one that fails for a reason of its own stops no other."""
        try:
            return await look()
        except UnreadableOperationError as error:
            reason = str(error)
        except (TemporalUnavailableError, OSError):
            raise
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            reason = type(error.orig).__name__
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one workflow is that one's
            reason = type(error).__name__
        _note_failure(workflow_id, reason)
        return None

    async def _find(self, workflow_id: str) -> OperationRecord | None:
        async with self._engine.connect() as connection:
            return await find_operation(connection, workflow_id)

    async def _adopt_unrecorded(self, started_before: datetime) -> AsyncIterator[Finding]:
        """Yield the operations without a row, and those that wait though their row says how they ended."""
        page: list[ListedOperation] = []
        closed_after = started_before - RECENTLY_CLOSED
        async for listed in self._operations.listed(started_before=started_before, closed_after=closed_after):
            page.append(listed)
            if len(page) == PAGE:
                async for finding in self._compare_page(page):
                    yield finding
                page = []
        if page:
            async for finding in self._compare_page(page):
                yield finding

    async def _compare_page(self, page: list[ListedOperation]) -> AsyncIterator[Finding]:
        async with self._engine.connect() as connection:
            recorded = await find_runs(connection, [listed.workflow_id for listed in page])
        for listed in page:
            has_ended = recorded.get((listed.workflow_id, listed.run_id))
            if has_ended is None:
                look = self._adopt
            elif has_ended and listed.is_open:
                look = self._wake
            else:
                continue
            finding = await self._isolated(listed.workflow_id, partial(look, listed.workflow_id, listed.run_id))
            if finding is not None:
                yield finding

    async def _adopt(self, workflow_id: str, run_id: str) -> Finding | None:
        """Write the row of an operation that could not do so itself, or never will."""
        try:
            workflow = await self._operations.describe(workflow_id, run_id)
            context = await self._operations.context_of(workflow)
        except UnknownOperationError:
            return None
        async with self._engine.begin() as connection:
            row = OperationRow(connection, context)
            if not await row.insert():
                return None
            await self._audit.append_once(connection, row.request_events)
        detail = "there was no row, because no transaction has been able to write one"
        return _finding(workflow_id, workflow.run_id, context.snapshot.tenant_id, OperationStatus.QUEUED, detail)

    async def _wake(self, workflow_id: str, run_id: str) -> Finding | None:
        """Resume a parked workflow whose row says how the operation ended, so that it learns that.

        It never heard of its commit, because a worker died, and then met an error that lasted.
        """
        try:
            workflow = await self._operations.describe(workflow_id, run_id)
            if not workflow.is_open or not workflow.snapshot.status.is_parked:
                return None
            await self._operations.resume(workflow, ResumeRequest(resumed_by="reconciler"))
        except (UnknownOperationError, OperationEndedError):
            return None
        detail = "its row says how it ended, and its workflow waited for an operator"
        return _finding(workflow_id, run_id, workflow.snapshot.tenant_id, OperationStatus.RUNNING, detail)

    async def _reconcile(self, record: OperationRecord) -> Finding | None:
        workflow = await self._workflow_of(record)
        if workflow is None:
            return await self._close(record, GONE)
        if workflow.is_open:
            return await self._mirror(record, workflow)
        if workflow.closed_as is not None:
            return await self._close(record, workflow.closed_as)
        # The row is written before the workflow says so; this one comes from a backup, or was changed by hand.
        reason = f"the workflow ended as {workflow.snapshot.status} in Temporal, unlike the operation's row"
        return await self._close(record, reason, workflow.snapshot)

    async def _workflow_of(self, record: OperationRecord) -> TemporalOperation | None:
        """Return the workflow that works on the operation, or did last, or None if Temporal has forgotten it."""
        with suppress(UnknownOperationError):
            newest = await self._operations.describe(record.workflow_id)
            if newest.run_id == record.run_id:
                return newest
        with suppress(UnknownOperationError):
            return await self._operations.describe(record.workflow_id, record.run_id)
        return None

    async def _mirror(self, record: OperationRecord, workflow: TemporalOperation) -> Finding | None:
        async with self._engine.begin() as connection:
            if not await mirror(connection, record, workflow.snapshot):
                return None
        status, detail = workflow.snapshot.status, "the row now says what the workflow waits for"
        return _finding(record.workflow_id, record.run_id, record.snapshot.tenant_id, status, detail)

    async def _close(
        self, record: OperationRecord, reason: str, ended_as: OperationSnapshot | None = None
    ) -> Finding | None:
        async with self._engine.begin() as connection:
            closed = await close_ended_outside(OperationRow(connection, record.context), reason, ended_as)
        if closed is None:
            return None
        tenant_id = record.snapshot.tenant_id
        detail = closed.warnings[-1].detail if closed.committed_at is not None else f"{reason}; nothing was written"
        log.warning(
            "an operation was ended in Temporal",
            workflow_id=record.workflow_id,
            tenant_id=str(tenant_id) if tenant_id is not None else None,
            status=closed.status,
            detail=detail,
        )
        return _finding(record.workflow_id, record.run_id, tenant_id, closed.status, detail)


def _note_failure(workflow_id: str, reason: str) -> None:
    RECONCILE_FAILURES.inc()
    log.error("an operation can't be reconciled", workflow_id=workflow_id, reason=reason)


def _finding(workflow_id: str, run_id: str, tenant_id: UUID | None, status: OperationStatus, detail: str) -> Finding:
    return Finding(workflow_id, run_id, str(tenant_id) if tenant_id is not None else None, status, detail)
