"""The rollback: deletes everything of a tenant that an operation made, and proves it."""

from uuid import UUID

import structlog
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.audit import AuditTrail
from activities.catalogue import read_catalogue
from activities.errors import temporal_errors
from activities.heartbeats import with_heartbeats
from activities.operations import close_for_rollback, has_completed, owns_tenant, record_rollback
from activities.own_tables import operations
from activities.purge import PurgeReport, purge_tenant
from activities.purge_errors import TenantRefusedError
from workflows.messages import OperationContext, RollBackInput, RollBackResult
from workflows.steps import ROLL_BACK_ACTIVITY

# For one transaction, because a session's settings don't hold behind PgBouncer; the role may have shorter ones. One
# statement may delete millions of rows; the engine's own timeout is as long. A lock that is not given in time is a
# passing error. The server looks whether this process still lives, because the statement of a dead one would go on
# and be in the way of every further rollback; versions before 14 can't.
SETTINGS = text("""
    SELECT set_config('statement_timeout', '1h', true), set_config('lock_timeout', '1min', true),
           (SELECT set_config(name, :look_every, true) FROM pg_settings
            WHERE name = 'client_connection_check_interval')
""")
# Seconds; a worker counts as dead that has said nothing for `workflows.steps.ROLL_BACK_HEARTBEAT_TIMEOUT`. Also how
# often the server looks.
HEARTBEAT_INTERVAL = 5.0

log = structlog.get_logger(__name__)


class RollbackActivities:
    """The rollback activity, on an engine of the role that owns Alga's tables whose statements may take an hour."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        audit: AuditTrail,
        management_tenant_id: UUID | None = None,
        heartbeat_interval: float = HEARTBEAT_INTERVAL,
    ) -> None:
        self._engine = engine
        self._audit = audit
        self._management_tenant_id = management_tenant_id
        self._heartbeat_interval = heartbeat_interval
        self._settings = SETTINGS.bindparams(look_every=f"{heartbeat_interval * 1000:.0f}ms")

    @activity.defn(name=ROLL_BACK_ACTIVITY)
    @temporal_errors
    async def roll_back_tenant(self, rollback: RollBackInput) -> RollBackResult:
        """Delete the operation's tenant, count what is left, and close the operation's row.

        Only a tenant that this very operation made is deleted: one that was there before, and made the operation
        fail, is not touched; nor is one that is complete. The first transaction shuts out steps that may still
        run; the second deletes, proves and closes, or does nothing at all. A second run finds nothing to delete.
        Heartbeats say all the while how far it is: `table`, and the `rows` deleted before it.

        Raises `ApplicationError` as `activities.errors` says, and of its own `tenant-complete` and those of
        `purge_tenant`; nothing is swallowed.
        """
        progress = _Progress()
        work = self._roll_back(rollback, progress)
        return await with_heartbeats(work, interval=self._heartbeat_interval, details=progress.details)

    async def _roll_back(self, rollback: RollBackInput, progress: "_Progress") -> RollBackResult:
        context = rollback.operation
        async with self._engine.begin() as connection:
            await connection.execute(self._settings)
            completed = await close_for_rollback(connection, rollback, self._audit)
        if completed is not None:
            return RollBackResult(completed=completed)
        async with self._engine.begin() as connection:
            await connection.execute(self._settings)
            report = await self._delete(connection, context, progress)
            await record_rollback(connection, rollback)
        deleted = sum(report.deleted_rows.values())
        log.info(
            "rolled back",
            workflow_id=context.workflow_id,
            tenant_id=str(context.tenant_id),
            outcome=rollback.outcome,
            deleted_rows=deleted,
            disabled_triggers=[str(trigger) for trigger in report.disabled_triggers],
        )
        return RollBackResult(deleted_rows=deleted)

    async def _delete(
        self, connection: AsyncConnection, context: OperationContext, progress: "_Progress"
    ) -> PurgeReport:
        """Delete the tenant if this operation made it."""
        if not await owns_tenant(connection, context):
            return PurgeReport()
        await _lock_operations(connection, context.tenant_id)
        if await has_completed(connection, context.tenant_id):
            raise TenantRefusedError.complete(context.tenant_id)
        return await purge_tenant(
            connection,
            await read_catalogue(connection),
            context.tenant_id,
            management_tenant_id=self._management_tenant_id,
            on_progress=progress.begin,
        )


class _Progress:
    """How far a rollback is."""

    def __init__(self) -> None:
        self._table: str | None = None
        self._rows = 0

    def begin(self, table: str, rows: int) -> None:
        """Go on with this table after so many rows."""
        self._table = table
        self._rows = rows

    def details(self) -> dict[str, str | int | None]:
        """What heartbeats say."""
        return {"table": self._table, "rows": self._rows}


async def _lock_operations(connection: AsyncConnection, tenant_id: UUID) -> None:
    """Wait for every operation of the tenant that is about to complete it, and let none do so until the end."""
    await connection.execute(
        select(operations.c.run_id)
        .where(operations.c.tenant_id == tenant_id)
        .order_by(operations.c.workflow_id, operations.c.run_id)
        .with_for_update()
    )
