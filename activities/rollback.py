"""The rollback: deletes everything of a tenant that an operation made, and proves it."""

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.catalogue import read_catalogue
from activities.errors import temporal_errors
from activities.operations import close_for_rollback, owns_tenant, record_rollback
from activities.purge import purge_tenant
from workflows.messages import RollBackInput, RollBackResult
from workflows.steps import ROLL_BACK_ACTIVITY

# A large tenant takes longer than a step may; still below the activity's own ten minutes.
PURGE_STATEMENT_TIMEOUT = "5min"

log = structlog.get_logger(__name__)


class RollbackActivities:
    """The rollback activity, on the engine of the role that owns Alga's tables."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @activity.defn(name=ROLL_BACK_ACTIVITY)
    @temporal_errors
    async def roll_back_tenant(self, rollback: RollBackInput) -> RollBackResult:
        """Delete the operation's tenant, count what is left, and close the operation's row.

        Only a tenant that this very operation made is deleted: one that was there before, and made the operation
        fail, is not touched; nor is one that is complete. The first transaction shuts out steps that may still
        run; the second deletes, proves and closes, or does nothing at all. A second run finds nothing to delete.

        Raises `ApplicationError` as `activities.errors` says; nothing is swallowed.
        """
        context = rollback.operation
        async with self._engine.begin() as connection:
            completed = await close_for_rollback(connection, rollback)
        if completed is not None:
            return RollBackResult(completed=completed)
        activity.heartbeat()
        deleted = 0
        async with self._engine.begin() as connection:
            await connection.execute(text(f"SET LOCAL statement_timeout = '{PURGE_STATEMENT_TIMEOUT}'"))
            if await owns_tenant(connection, context):
                catalogue = await read_catalogue(connection)
                report = await purge_tenant(
                    connection, catalogue, context.tenant_id, on_progress=lambda *_: activity.heartbeat()
                )
                deleted = sum(report.deleted_rows.values())
            await record_rollback(connection, rollback)
        log.info(
            "rolled back",
            workflow_id=context.workflow_id,
            tenant_id=str(context.tenant_id),
            outcome=rollback.outcome,
            deleted_rows=deleted,
        )
        return RollBackResult(deleted_rows=deleted)
