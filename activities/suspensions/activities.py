"""The activities that suspend and reactivate tenants."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.alga.tables import tenants
from activities.audit.trail import AuditTrail
from activities.database.transactions import Transactions
from activities.errors import FinalError, activity_errors, local_only
from activities.operations.rows import OperationRow
from activities.operations.step_clock import StepClock
from activities.suspensions.rows import reactivate, suspend
from workflows.operations.messages import Committed
from workflows.tenants.steps import REACTIVATE, REACTIVATE_ACTIVITY, SUSPEND, SUSPEND_ACTIVITY
from workflows.tenants.suspension import SuspensionInput

TENANT_NOT_FOUND = "tenant-not-found"
MANAGEMENT_TENANT = "management-tenant"
NO_MANAGEMENT_TENANT = "management-tenant-unknown"
NOT_SUSPENDED = "tenant-not-suspended"


class SuspensionActivities:
    """Suspend and reactivate tenants, each in one transaction."""

    def __init__(self, engine: AsyncEngine, audit: AuditTrail, management_tenant: UUID | None) -> None:
        self._transactions = Transactions(engine)
        self._audit = audit
        self._management_tenant = management_tenant

    @activity.defn(name=SUSPEND_ACTIVITY)
    @local_only
    async def suspend_tenant(self, given: SuspensionInput) -> Committed:
        """Suspend the tenant; a second run changes nothing. Raises `ApplicationError`."""
        return await self._change(given, SUSPEND)

    @activity.defn(name=REACTIVATE_ACTIVITY)
    @local_only
    async def reactivate_tenant(self, given: SuspensionInput) -> Committed:
        """Undo the suspension row by row; a second run changes nothing. Raises `ApplicationError`."""
        return await self._change(given, REACTIVATE)

    async def _change(self, given: SuspensionInput, step: str) -> Committed:
        context = given.operation
        steps = StepClock(context)
        with activity_errors(step, lambda: steps.current):
            async with self._transactions.begin() as transaction:
                connection = transaction.connection
                row = OperationRow(connection, context)
                locked = await row.ensure_locked()
                if locked.committed is not None:
                    return locked.committed
                await row.check_open(locked)
                with steps.run(step):
                    await check_tenant(connection, context.tenant_id, self._management_tenant)
                    if step == SUSPEND:
                        await suspend(connection, context, given.request.reason)
                    elif not await reactivate(connection, context.tenant_id):
                        detail = "the tenant is not suspended, or by another program, which recorded no changes"
                        raise FinalError(NOT_SUSPENDED, detail)
                committed = steps.committed({"tenantId": str(context.tenant_id)})
                transaction.run_with_commit(row.commit_statement(committed))
                for event in row.request_events:
                    await self._audit.append_with_commit(transaction, event)
        return committed


async def check_tenant(connection: AsyncConnection, tenant_id: UUID, management_tenant: UUID | None) -> None:
    """Lock the tenant; raise `FinalError` if there is none, or it is Alga's own, or Alga's own one is unknown."""
    if management_tenant is None:
        detail = "set MASTER_BILLING_TENANT_ID: without it, Alga's own tenant would not be protected"
        raise FinalError(NO_MANAGEMENT_TENANT, detail)
    if tenant_id == management_tenant:
        raise FinalError(
            MANAGEMENT_TENANT, "this is Alga's own management tenant, which is never suspended or deleted"
        )
    query = select(tenants.c.tenant).where(tenants.c.tenant == tenant_id).with_for_update()
    if await connection.scalar(query) is None:
        raise FinalError(TENANT_NOT_FOUND, "there is no such tenant", field="tenantId")
