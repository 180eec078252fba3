"""The activity that purges a tenant. It trusts our own rows only, because any workflow can schedule it."""

from datetime import UTC, datetime
from uuid import UUID

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.alga.lifecycle_tables import pending_tenant_deletions
from activities.certificates.issuing import CertificateIssuer
from activities.database.own_tables import deletions
from activities.deletions import alga_record
from activities.deletions.rows import DeletionRecord, end_deletion, find_deletion, is_run
from activities.errors import CancelRequestedError, FinalError, activity_errors
from activities.heartbeats import heartbeats
from activities.operations.cancelled_commits import cancellable_commit
from activities.operations.rows import OperationRow
from activities.operations.step_clock import StepClock
from activities.purge.catalogue import read_catalogue
from activities.purge.lock_watch import watch_locks
from activities.purge.purge import purge_tenant
from activities.suspensions.rows import forget
from workflows.operations.failures import OPERATION_CLOSED
from workflows.operations.messages import Committed, OperationContext
from workflows.tenants.deletions.messages import DeletionInput
from workflows.tenants.deletions.state import DELETED
from workflows.tenants.steps import CERTIFY, PURGE, PURGE_ACTIVITY, REMOVE_SCHEDULES

NOT_CONFIRMED = "deletion-not-confirmed"
NOT_DUE = "deletion-not-due"

log = structlog.get_logger(__name__)


class PurgeActivities:
    """Purge tenants whose deletion is confirmed and due, each in one transaction with its certificate.

    Statements of `engine` may take as long as a large tenant needs. `watching` has connections for short ones.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        watching: AsyncEngine,
        certificates: CertificateIssuer,
        management_tenant: UUID | None,
    ) -> None:
        self._engine = engine
        self._watching = watching
        self._certificates = certificates
        self._management_tenant = management_tenant

    @activity.defn(name=PURGE_ACTIVITY)
    async def purge_tenant(self, given: DeletionInput) -> Committed:
        """Delete every row of the tenant, prove that none is left, and issue the certificate.

        A second run finds the commit, and returns the same. Raises `ApplicationError`; every row is as before then,
        and the deletion can be undone.
        """
        context = given.operation
        steps = StepClock(context, following={REMOVE_SCHEDULES})
        with activity_errors(PURGE_ACTIVITY, lambda: steps.current):
            async with heartbeats(), cancellable_commit(self._engine, context), self._engine.begin() as connection:
                return await self._purge(connection, context, steps)

    async def _purge(self, connection: AsyncConnection, context: OperationContext, steps: StepClock) -> Committed:
        row = OperationRow(connection, context)
        locked = await row.lock()
        if locked is None:
            raise FinalError(OPERATION_CLOSED, "there is no such operation, so nothing was deleted")
        if locked.committed is not None:
            return locked.committed
        await row.check_open(locked)
        deletion = await self._due(connection, context)

        async def check_cancel(table: str, rows: int) -> None:
            log.info("purging", tenant_id=str(deletion.tenant_id), table=table, rows=rows)
            if (cancel := await row.find_cancellation()) is not None:
                raise CancelRequestedError(cancel)

        started_at = datetime.now(UTC)
        with steps.run(PURGE):
            catalogue = (await read_catalogue(connection)).keeping(pending_tenant_deletions.name)
            async with watch_locks(self._watching, connection):
                report = await purge_tenant(
                    connection,
                    catalogue,
                    deletion.tenant_id,
                    management_tenant_id=self._management_tenant,
                    on_progress=check_cancel,
                )
        with steps.run(CERTIFY):
            if deletion.export_id is None:
                # Otherwise a restore brings back the suspended tenant, which a person then reactivates.
                await forget(connection, deletion.tenant_id)
            now = datetime.now(UTC)
            await alga_record.update_record(
                connection, deletion.tenant_id, deletion.deletion_id, DELETED, deleted_at=now
            )
            await end_deletion(connection, context, is_undone=False)
            await self._certificates.issue(
                connection, context.workflow_id, context.run_id, report, purge_started_at=started_at
            )
        committed = steps.committed(
            {
                "tenantId": str(deletion.tenant_id),
                "rowsRemoved": sum(report.deleted_rows.values()),
                "deletedAt": now.isoformat(),
            }
        )
        statement = row.commit_statement(committed)
        await connection.execute(statement.clause, statement.values)
        return committed

    async def _due(self, connection: AsyncConnection, context: OperationContext) -> DeletionRecord:
        """Return the deletion if its purge may begin by its row and the database's clock."""
        deletion = await find_deletion(connection, context)
        if deletion is None or not deletion.is_open or deletion.scheduled_for is None:
            raise FinalError(NOT_CONFIRMED, "the deletion is not confirmed, or was undone, so nothing was deleted")
        is_due = select(deletions.c.scheduled_for <= func.now()).where(is_run(context))
        if not await connection.scalar(is_due):
            raise ApplicationError(f"the purge is due at {deletion.scheduled_for.isoformat()}", type=NOT_DUE)
        return deletion
