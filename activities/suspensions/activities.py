"""The activities that suspend and reactivate tenants."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.alga.lifecycle_tables import pending_tenant_deletions
from activities.alga.tables import tenants
from activities.audit.trail import AuditTrail
from activities.database.live_columns import read_columns
from activities.database.transactions import Transaction
from activities.errors import FinalError, local_only
from activities.operations.committing import commit_once
from activities.operations.step_clock import StepClock
from activities.suspensions.changes import EMAIL_PROVIDERS, USERS
from activities.suspensions.rows import Changed, Standing, find_standing, reactivate, suspend
from workflows.operations.failures import OPERATION_IN_PROGRESS
from workflows.operations.messages import Committed
from workflows.tenants.steps import REACTIVATE, REACTIVATE_ACTIVITY, SUSPEND, SUSPEND_ACTIVITY
from workflows.tenants.suspension import SuspensionInput

TENANT_NOT_FOUND = "tenant-not-found"
MANAGEMENT_TENANT = "management-tenant"
NO_MANAGEMENT_TENANT = "management-tenant-unknown"
SUSPENDED_BY_ALGA = "suspended-by-alga"
# The statuses in which Alga's own deletion of a tenant has ended.
ENDED_DELETIONS = ("deleted", "rolled_back", "failed")


class SuspensionActivities:
    """Suspend and reactivate tenants, each in one transaction."""

    def __init__(self, engine: AsyncEngine, audit: AuditTrail, management_tenant: UUID | None) -> None:
        self._engine = engine
        self._audit = audit
        self._management_tenant = management_tenant

    @activity.defn(name=SUSPEND_ACTIVITY)
    @local_only
    async def suspend_tenant(self, given: SuspensionInput) -> Committed:
        """Suspend the tenant; a second run changes nothing. Raises `ApplicationError`, with nothing written."""
        return await self._change(given, SUSPEND)

    @activity.defn(name=REACTIVATE_ACTIVITY)
    @local_only
    async def reactivate_tenant(self, given: SuspensionInput) -> Committed:
        """Undo the suspension row by row; a second run changes nothing.

        Raises `ApplicationError`, with nothing written: `suspended-by-alga` if there is no record of what to undo.
        """
        return await self._change(given, REACTIVATE)

    async def _change(self, given: SuspensionInput, step: str) -> Committed:
        context = given.operation

        async def change(transaction: Transaction, steps: StepClock) -> Mapping[str, Any]:
            connection = transaction.connection
            with steps.run(step):
                await check_tenant(connection, context.tenant_id, self._management_tenant)
                if step == SUSPEND:
                    changed = await suspend(connection, context, given.request.reason)
                else:
                    changed = await _reactivate(connection, context.tenant_id)
            steps.warnings += changed.warnings
            return {
                "tenantId": str(context.tenant_id),
                "changedUsers": changed.rows.get(USERS.table.name, 0),
                "changedEmailProviders": changed.rows.get(EMAIL_PROVIDERS.table.name, 0),
            }

        return await commit_once(self._engine, self._audit, context, step, change)


async def _reactivate(connection: AsyncConnection, tenant_id: UUID) -> Changed:
    changed = await reactivate(connection, tenant_id)
    if changed is None and await find_standing(connection, tenant_id) is Standing.SUSPENDED_BY_ALGA:
        detail = (
            "Alga itself has suspended the tenant, so there is no record of what to undo: end its deletion in Alga"
        )
        raise FinalError(SUSPENDED_BY_ALGA, detail)
    return changed or Changed()


async def check_tenant(connection: AsyncConnection, tenant_id: UUID, management_tenant: UUID | None) -> None:
    """Lock the tenant, and wait until transactions that add rows to it have ended.

    Raises `FinalError` if there is no such tenant, if it is Alga's own or that is unknown, or if Alga is deleting it.
    """
    if management_tenant is None:
        detail = "set MASTER_BILLING_TENANT_ID of the worker: without it, Alga's own tenant would not be protected"
        raise FinalError(NO_MANAGEMENT_TENANT, detail)
    if tenant_id == management_tenant:
        raise FinalError(
            MANAGEMENT_TENANT, "this is Alga's own management tenant, which is never suspended or deleted"
        )
    # It conflicts with the locks of foreign keys, so that no user is added meanwhile and overlooked.
    query = select(tenants.c.tenant).where(tenants.c.tenant == tenant_id).with_for_update()
    if await connection.scalar(query) is None:
        raise FinalError(TENANT_NOT_FOUND, "there is no such tenant", field="tenantId")
    if not await read_columns(connection, [pending_tenant_deletions.name]):
        return
    columns = pending_tenant_deletions.c
    deletion = select(columns.workflow_id).where(columns.tenant == tenant_id, columns.status.not_in(ENDED_DELETIONS))
    if (workflow_id := await connection.scalar(deletion)) is not None:
        detail = f"Alga is deleting the tenant itself, by workflow {workflow_id}; roll that back in Alga"
        raise FinalError(OPERATION_IN_PROGRESS, detail, field="tenantId")
