"""Compares operations with Temporal: shows in their rows why they wait, and closes those that were ended there."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.audit.trail import AuditTrail
from activities.deletions.activities import undo_steps
from activities.operations.queries import (
    OperationRecord,
    UnreadableRecord,
    find_operation,
    find_runs,
    unfinished_operations,
)
from activities.operations.reconciliation import GONE, close_ended_outside, mirror
from activities.operations.rows import OperationRow
from app.telemetry.metrics.definitions import RECONCILE_FAILURES
from app.temporal.descriptions import TemporalOperation
from app.temporal.errors import (
    OperationEndedError,
    TemporalUnavailableError,
    UnknownOperationError,
    UnreadableOperationError,
)
from app.temporal.operations import TemporalOperations
from workflows.operations.messages import OperationContext, OperationSnapshot, ResumeRequest
from workflows.operations.statuses import OperationStatus
from workflows.tenants.steps import DELETION

PAGE = 100
# Rows that were written a moment ago belong to running transactions.
UNTOUCHED = timedelta(seconds=5)
# How long a workflow without a row that was ended in Temporal is looked for: longer than any outage of the workers.
RECENTLY_CLOSED = timedelta(days=7)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Finding:
    """An operation whose row differed from its workflow, and the status that the row shows now."""

    workflow_id: str
    run_id: str
    tenant_id: str | None
    status: OperationStatus
    detail: str


Comparison = Callable[[], Awaitable[Finding | None]]
Undo = Callable[[AsyncConnection, OperationContext], Awaitable[None]]
# By the kind of the operation: what undoes its steps before a commit that will not come.
UNDOS: Mapping[str, Undo] = MappingProxyType({DELETION.name: undo_steps})


class Reconciler:
    """Safe to run twice, and by several workers at once: a row that was changed in the meantime is left alone."""

    def __init__(self, engine: AsyncEngine, operations: TemporalOperations, audit: AuditTrail) -> None:
        self._engine = engine
        self._audit = audit
        self._operations = operations

    async def reconcile(self, *, untouched_for: timedelta = timedelta(0)) -> AsyncIterator[Finding]:
        """Yield every operation whose row differed from its workflow.

        An operation that can't be compared is logged and counted, and does not stop the others. Raises
        `TemporalUnavailableError`, or `OSError` or `sqlalchemy.exc.DBAPIError` if the database is unavailable.
        """
        async for workflow_id, compare in self._comparisons(untouched_for):
            finding = await self._isolated(workflow_id, compare)
            if finding is not None:
                yield finding

    async def reconcile_one(self, workflow_id: str) -> tuple[OperationRecord | None, Finding | None]:
        """Return the newest operation of that workflow id before the comparison, and the finding.

        Raises as `reconcile`, and `UnreadableOperationError` if the workflow can't be decrypted or parsed.
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

    async def _comparisons(self, untouched_for: timedelta) -> AsyncIterator[tuple[str, Comparison]]:
        """Yield workflow ids and what to do: first for workflows without a matching row, then for rows."""
        before = datetime.now(UTC) - untouched_for
        workflows = self._operations.listed(started_before=before, closed_after=before - RECENTLY_CLOSED)
        listed = [workflow async for workflow in workflows]
        for start in range(0, len(listed), PAGE):
            page = listed[start : start + PAGE]
            async with self._engine.connect() as connection:
                recorded = await find_runs(connection, [workflow.workflow_id for workflow in page])
            for workflow in page:
                run = workflow.workflow_id, workflow.run_id
                if run not in recorded:
                    yield workflow.workflow_id, partial(self._adopt, *run)
                elif recorded[run] and workflow.is_open:
                    yield workflow.workflow_id, partial(self._wake, *run)
        after: tuple[str, str] | None = None
        namespace = self._operations.namespace
        while True:
            async with self._engine.connect() as connection:
                records = await unfinished_operations(
                    connection, namespace, untouched_for=untouched_for, limit=PAGE, after=after
                )
            for record in records:
                if isinstance(record, UnreadableRecord):
                    _record_failure(record.workflow_id, "its row is not understood")
                else:
                    yield record.workflow_id, partial(self._reconcile, record)
            if len(records) < PAGE:
                return
            after = records[-1].workflow_id, records[-1].run_id

    async def _isolated(self, workflow_id: str, compare: Comparison) -> Finding | None:
        """Return the finding; an error that concerns this operation alone is only recorded."""
        try:
            return await compare()
        except UnreadableOperationError as error:
            reason = str(error)
        except (TemporalUnavailableError, OSError):
            raise
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            reason = type(error.orig).__name__
        except Exception as error:  # noqa: BLE001 - a defect in one workflow must not stop the others
            reason = type(error).__name__
        _record_failure(workflow_id, reason)
        return None

    async def _find(self, workflow_id: str) -> OperationRecord | None:
        async with self._engine.connect() as connection:
            return await find_operation(connection, workflow_id)

    async def _adopt(self, workflow_id: str, run_id: str) -> Finding | None:
        """Insert the row of an operation whose transaction could not, or never will."""
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
        return _finding(context, OperationStatus.QUEUED, detail)

    async def _wake(self, workflow_id: str, run_id: str) -> Finding | None:
        """Resume a parked workflow whose row shows its end, so that its next attempt finds that.

        It missed the result of its commit, because a worker died, and then met an error that lasted.
        """
        try:
            workflow = await self._operations.describe(workflow_id, run_id)
            if not workflow.is_open or not workflow.snapshot.status.is_parked:
                return None
            await self._operations.resume(workflow, ResumeRequest(resumed_by="reconciler"))
        except (UnknownOperationError, OperationEndedError):
            return None
        context = OperationContext(workflow_id=workflow_id, run_id=run_id, snapshot=workflow.snapshot)
        detail = "its row says how it ended, and its workflow waited for an operator"
        return _finding(context, OperationStatus.RUNNING, detail)

    async def _reconcile(self, record: OperationRecord) -> Finding | None:
        workflow = await self._workflow_of(record)
        if workflow is None:
            return await self._close(record, GONE)
        if workflow.closed_as is not None:
            return await self._close(record, workflow.closed_as)
        if not workflow.is_open:
            # The row is written before the workflow ends; this one comes from a backup, or was changed by hand.
            reason = f"the workflow ended as {workflow.snapshot.status} in Temporal, unlike the operation's row"
            return await self._close(record, reason, workflow.snapshot)
        async with self._engine.begin() as connection:
            if not await mirror(connection, record, workflow.snapshot):
                return None
        return _finding(record.context, workflow.snapshot.status, "the row now says what the workflow waits for")

    async def _workflow_of(self, record: OperationRecord) -> TemporalOperation | None:
        """Return the operation's workflow, or None if Temporal has forgotten it."""
        with suppress(UnknownOperationError):
            newest = await self._operations.describe(record.workflow_id)
            if newest.run_id == record.run_id:
                return newest
        with suppress(UnknownOperationError):
            return await self._operations.describe(record.workflow_id, record.run_id)
        return None

    async def _close(
        self, record: OperationRecord, reason: str, ended_as: OperationSnapshot | None = None
    ) -> Finding | None:
        async with self._engine.begin() as connection:
            row = OperationRow(connection, record.context)
            undo = UNDOS.get(record.snapshot.kind)
            undoing = partial(undo, connection, record.context) if undo is not None else None
            closed = await close_ended_outside(row, reason, ended_as, undoing)
        if closed is None:
            return None
        left = "its steps were undone" if undo is not None else "nothing was written"
        detail = closed.warnings[-1].detail if closed.committed_at is not None else f"{reason}; {left}"
        finding = _finding(record.context, closed.status, detail)
        log.warning(
            "an operation was ended in Temporal",
            workflow_id=finding.workflow_id,
            tenant_id=finding.tenant_id,
            status=finding.status,
            detail=detail,
        )
        return finding


def _record_failure(workflow_id: str, reason: str) -> None:
    RECONCILE_FAILURES.inc()
    log.error("an operation can't be reconciled", workflow_id=workflow_id, reason=reason)


def _finding(context: OperationContext, status: OperationStatus, detail: str) -> Finding:
    tenant_id = context.snapshot.tenant_id
    shown_id = str(tenant_id) if tenant_id is not None else None
    return Finding(context.workflow_id, context.run_id, shown_id, status, detail)
