"""The rollback: deletes everything of a tenant that an operation made, and proves it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.catalogue import read_catalogue
from activities.errors import temporal_errors
from activities.operations import close_for_rollback, has_completed, owns_tenant, record_rollback
from activities.purge import TenantRefusedError, purge_tenant
from workflows.messages import RollBackInput, RollBackResult
from workflows.steps import ROLL_BACK_ACTIVITY

# Of a large tenant one statement may delete millions of rows. As that of the engine, which PgBouncer drops.
PURGE_STATEMENT_TIMEOUT = "1h"
# Seconds; a worker counts as dead that has said nothing for `workflows.steps.ROLL_BACK_HEARTBEAT_TIMEOUT`.
HEARTBEAT_INTERVAL = 5.0

log = structlog.get_logger(__name__)


class RollbackActivities:
    """The rollback activity, on the engine of the role that owns Alga's tables."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        management_tenant_id: UUID | None = None,
        heartbeat_interval: float = HEARTBEAT_INTERVAL,
    ) -> None:
        self._engine = engine
        self._management_tenant_id = management_tenant_id
        self._heartbeat_interval = heartbeat_interval

    @activity.defn(name=ROLL_BACK_ACTIVITY)
    @temporal_errors
    async def roll_back_tenant(self, rollback: RollBackInput) -> RollBackResult:
        """Delete the operation's tenant, count what is left, and close the operation's row.

        Only a tenant that this very operation made is deleted: one that was there before, and made the operation
        fail, is not touched; nor is one that is complete. The first transaction shuts out steps that may still
        run; the second deletes, proves and closes, or does nothing at all. A second run finds nothing to delete.

        Raises `ApplicationError` as `activities.errors` says, and of its own `tenant-complete` and those of
        `purge_tenant`; nothing is swallowed.
        """
        async with self._heartbeats():
            return await self._roll_back(rollback)

    async def _roll_back(self, rollback: RollBackInput) -> RollBackResult:
        context = rollback.operation
        async with self._engine.begin() as connection:
            completed = await close_for_rollback(connection, rollback)
        if completed is not None:
            return RollBackResult(completed=completed)
        deleted = 0
        async with self._engine.begin() as connection:
            await connection.execute(text(f"SET LOCAL statement_timeout = '{PURGE_STATEMENT_TIMEOUT}'"))
            if await owns_tenant(connection, context):
                if await has_completed(connection, context.tenant_id):
                    raise TenantRefusedError(
                        "tenant-complete", "the tenant's creation was completed; it is not undone"
                    )
                catalogue = await read_catalogue(connection)
                report = await purge_tenant(
                    connection,
                    catalogue,
                    context.tenant_id,
                    management_tenant_id=self._management_tenant_id,
                    on_progress=activity.heartbeat,
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

    @asynccontextmanager
    async def _heartbeats(self) -> AsyncIterator[None]:
        """Say all the while that this worker is alive: a single statement may take longer than silence is allowed."""
        beating = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    async def _beat(self) -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(self._heartbeat_interval)
