"""Compares unfinished operations with Temporal: shows what they wait for, and closes those that ended outside."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit import AuditTrail
from activities.database_errors import DATABASE_ERRORS
from activities.operation_records import (
    OperationRecord,
    find_operation,
    finished_among,
    unfinished_operations,
    unrecorded,
)
from activities.reconciliation import GONE, adopt, close_ended_outside, is_closed, mirror
from app.temporal.described import DescribedOperation
from app.temporal.errors import (
    OperationEndedError,
    TemporalUnavailableError,
    UnknownOperationError,
    UnreadableOperationError,
)
from app.temporal.operations import OperationsPort
from workflows.messages import OperationSnapshot, OperationStatus, ResumeRequest

PAGE = 100
PASSING: tuple[type[Exception], ...] = (TemporalUnavailableError, *DATABASE_ERRORS)
# Rows that were written a moment ago belong to steps at work.
UNTOUCHED = timedelta(seconds=5)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Finding:
    """An operation whose row was not as its workflow is, and what its row says now."""

    workflow_id: str
    run_id: str
    tenant_id: str | None
    status: OperationStatus
    detail: str
    remaining: Mapping[str, int] = field(default_factory=dict)


class Reconciler:
    """Safe to run twice, and by several workers at once: a row that was written in the meantime is left alone."""

    def __init__(self, engine: AsyncEngine, operations: OperationsPort, audit: AuditTrail) -> None:
        self._engine = engine
        self._audit = audit
        self._operations = operations

    async def run(self, interval: float) -> None:
        """Reconcile every `interval` seconds until cancelled.

        A round that fails is logged, and the next one looks again: nothing here may stop the worker.
        """
        while True:
            # Several workers that were started together must not all look at once.
            await asyncio.sleep(interval * random.uniform(0.5, 1.5))  # noqa: S311 - not for secrets
            try:
                async for _ in self.reconcile(untouched_for=UNTOUCHED):
                    pass
            except PASSING as error:
                log.warning("reconciling was interrupted", error=type(error).__name__)
            except Exception:
                log.exception("reconciling failed")

    async def reconcile(
        self, *, untouched_for: timedelta = timedelta(0), again: bool = False
    ) -> AsyncIterator[Finding]:
        """Every unfinished operation that was not as its row said; with `again`, those closed before, too.

        Left out is what is encrypted with a key that is not here: it can't be compared.

        Raises:
            TemporalUnavailableError: Temporal is away; what was not reached stays as it was.
            Any of `DATABASE_ERRORS`: the database is.
            CatalogueError: the database's structure does not tell whose rows are left.
        """
        async for adopted in self._adopt(datetime.now(UTC) - untouched_for):
            yield adopted
        after: tuple[str, str] | None = None
        while True:
            async with self._engine.connect() as connection:
                page = await unfinished_operations(
                    connection, self._operations.namespace, untouched_for=untouched_for, limit=PAGE, after=after
                )
            for record in page:
                # One that can't be read is logged, and keeps nobody from looking at the others.
                with suppress(UnreadableOperationError):
                    if (finding := await self._reconcile(record, again=again)) is not None:
                        yield finding
            if len(page) < PAGE:
                return
            after = (page[-1].workflow_id, page[-1].run_id)

    async def reconcile_one(self, workflow_id: str) -> tuple[OperationRecord | None, Finding | None]:
        """The newest operation of that workflow id as its row has it, and what was found where that was wrong.

        Raises as `reconcile`, and `UnreadableOperationError` for one that is encrypted with a key that is not here.
        """
        record = await self._find(workflow_id)
        if record is None:
            try:
                workflow = await self._operations.describe(workflow_id)
            except UnknownOperationError:
                return None, None
            async for _ in self._adopt_page([(workflow_id, workflow.run_id)]):
                record = await self._find(workflow_id)
        if record is None or record.snapshot.status.is_final:
            return record, None
        return record, await self._reconcile(record, again=True)

    async def _find(self, workflow_id: str) -> OperationRecord | None:
        async with self._engine.connect() as connection:
            return await find_operation(connection, workflow_id)

    async def _adopt(self, started_before: datetime) -> AsyncIterator[Finding]:
        """Operations without a row: their first step has not been able to write it, or never will."""
        page: list[tuple[str, str]] = []
        async for run in self._operations.unfinished(started_before=started_before):
            page.append(run)
            if len(page) == PAGE:
                async for finding in self._adopt_page(page):
                    yield finding
                page = []
        async for finding in self._adopt_page(page):
            yield finding

    async def _adopt_page(self, page: list[tuple[str, str]]) -> AsyncIterator[Finding]:
        if not page:
            return
        async with self._engine.connect() as connection:
            missing = await unrecorded(connection, page)
            finished = await finished_among(connection, page)
        for workflow_id, run_id in finished:
            if (finding := await self._wake(workflow_id, run_id)) is not None:
                yield finding
        for workflow_id, run_id in missing:
            try:
                workflow = await self._operations.describe(workflow_id, run_id)
                request = await self._operations.request_of(workflow_id, run_id)
            except (UnknownOperationError, UnreadableOperationError):
                continue
            if request is None:
                continue
            async with self._engine.begin() as connection:
                is_new = await adopt(
                    connection,
                    workflow.snapshot,
                    request,
                    workflow_id=workflow_id,
                    run_id=workflow.run_id,
                    namespace=self._operations.namespace,
                    audit=self._audit,
                )
            if is_new:
                yield Finding(
                    workflow_id,
                    workflow.run_id,
                    _text(workflow.snapshot.tenant_id or request.tenant_id),
                    OperationStatus.QUEUED,
                    "there was no row, because no step has been able to write one",
                )

    async def _wake(self, workflow_id: str, run_id: str) -> Finding | None:
        """Let a parked workflow go on whose row says how the operation ended, so that it learns that.

        It forgot its last steps with a worker that died after their commit, and then met an error that lasted.
        """
        try:
            workflow = await self._operations.describe(workflow_id, run_id)
            if not workflow.is_open or workflow.snapshot.status is not OperationStatus.NEEDS_ATTENTION:
                return None
            await self._operations.resume(workflow, ResumeRequest(resumed_by="reconciler"))
        except (UnknownOperationError, UnreadableOperationError, OperationEndedError):
            return None
        tenant_id = _text(workflow.snapshot.tenant_id)
        detail = "its row says how it ended, and its workflow waited for an operator"
        return Finding(workflow_id, run_id, tenant_id, OperationStatus.RUNNING, detail)

    async def _reconcile(self, record: OperationRecord, *, again: bool) -> Finding | None:
        workflow = await self._workflow_of(record)
        if workflow is not None and workflow.is_open:
            return await self._mirror(record, workflow)
        if is_closed(record.snapshot) and not again:
            return None
        if workflow is None:
            return await self._close(record, GONE)
        if workflow.ended_how is not None:
            return await self._close(record, workflow.ended_how)
        # The row is written before the workflow says so; this one comes from a backup, or was changed by hand.
        reason = f"the workflow ended as {workflow.snapshot.status} in Temporal, unlike the operation's row"
        return await self._close(record, reason, workflow.snapshot)

    async def _workflow_of(self, record: OperationRecord) -> DescribedOperation | None:
        """The workflow that works on the operation, or did last; none where Temporal has forgotten it."""
        try:
            newest = await self._operations.describe(record.workflow_id)
            if newest.run_id == record.run_id or newest.is_cleanup:
                return newest
            # A client that starts workflows itself has used the id again.
            return await self._operations.describe(record.workflow_id, record.run_id)
        except UnknownOperationError:
            return None

    async def _mirror(self, record: OperationRecord, workflow: DescribedOperation) -> Finding | None:
        async with self._engine.begin() as connection:
            if not await mirror(connection, record, workflow.snapshot):
                return None
        return Finding(
            record.workflow_id,
            record.run_id,
            _text(record.snapshot.tenant_id),
            workflow.snapshot.status,
            "the row now says what the workflow waits for",
        )

    async def _close(
        self, record: OperationRecord, reason: str, ended_as: OperationSnapshot | None = None
    ) -> Finding | None:
        async with self._engine.begin() as connection:
            closed = await close_ended_outside(connection, record, reason, ended_as)
        if closed is None:
            return None
        finding = Finding(
            record.workflow_id,
            record.run_id,
            _text(record.snapshot.tenant_id),
            closed.status,
            closed.error.detail,
            closed.remaining,
        )
        log.warning(
            "an operation ended outside",
            workflow_id=finding.workflow_id,
            tenant_id=finding.tenant_id,
            status=finding.status,
            remaining_rows=sum(finding.remaining.values()),
            detail=finding.detail,
        )
        return finding


def _text(tenant_id: UUID | None) -> str | None:
    return str(tenant_id) if tenant_id is not None else None
