"""Tracks the customer of a tenant that exists, for an operator."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.events import AuditEvent
from activities.audit.trail import AuditTrail
from activities.customers.lookup import lock_customer
from activities.customers.subject import Customer
from activities.customers.tracking import CustomerTracker, Tracked
from activities.errors import FinalError
from activities.operations.queries import find_newest_of_tenant, find_open_of_tenant
from activities.suspensions.activities import check_tenant
from workflows.operations.failures import OPERATION_IN_PROGRESS
from workflows.tenants.steps import TENANT_CREATION


async def track_tenant(
    engine: AsyncEngine, audit: AuditTrail, management_tenant: UUID | None, tenant_id: UUID, event: AuditEvent
) -> Tracked:
    """Write what is missing of the tenant's customer, and record the event; a second run changes nothing.

    Raises `FinalError` if there is no such tenant or administrator, if the tenant is Alga's own, if an operation on
    it is open, or if the customer can't be written; `PassingError` if Alga was faster with a name or an e-mail.
    """
    async with engine.begin() as connection:
        await check_tenant(connection, tenant_id, management_tenant)
        if management_tenant is None:
            raise RuntimeError("the management tenant was checked")
        # The tenant is locked, so none can begin to change the customer meanwhile.
        rival = await find_open_of_tenant(connection, tenant_id, TENANT_CREATION.name)
        if rival is not None:
            detail = f"operation {rival.workflow_id} of the tenant has not ended; wait for its end, or cancel it"
            raise FinalError(OPERATION_IN_PROGRESS, detail)
        await lock_customer(connection, tenant_id)
        creation = await find_newest_of_tenant(connection, tenant_id, TENANT_CREATION.name)
        name = creation.snapshot.tenant_name if creation is not None else None
        customer = await Customer.read(connection, tenant_id, name=name)
        tracked = await CustomerTracker(management_tenant).track(connection, customer)
        await audit.append(connection, event)
    return tracked
