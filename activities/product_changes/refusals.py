"""Says why the product of a tenant can't be changed."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.billing_tables import stripe_subscriptions
from activities.alga.lifecycle_tables import pending_tenant_deletions
from activities.alga.tables import tenants
from activities.database.live_columns import read_columns
from activities.errors import FinalError
from activities.suspensions.rows import find_standing
from workflows.operations.failures import INVALID_REQUEST, OPERATION_IN_PROGRESS
from workflows.tenants.changes.product_change import OLD_PRODUCT
from workflows.tenants.request import ProductCode

MANAGEMENT_TENANT = "management-tenant"
TENANT_SUSPENDED = "tenant-suspended"
STRIPE_SUBSCRIPTION = "stripe-subscription"
# The statuses of a subscription that Stripe will never bill again.
ENDED_SUBSCRIPTIONS = ("canceled", "incomplete_expired")
# The statuses in which Alga's own deletion of a tenant has ended.
ENDED_DELETIONS = ("deleted", "rolled_back", "failed")


async def find_refusals(
    connection: AsyncConnection,
    tenant_id: UUID,
    current: str,
    product: ProductCode,
    management_tenant: UUID | None,
    *,
    sees_deletions: bool = True,
) -> list[FinalError]:
    """Return all reasons why the tenant, of product `current`, can't change to the product; none if it has it.

    Only some roles may read Alga's own record of deletions.
    """
    if tenant_id == management_tenant:
        return [FinalError(MANAGEMENT_TENANT, "this is Alga's own management tenant, whose product never changes")]
    if current == product:
        return []
    if current != OLD_PRODUCT:
        detail = f"productCode: a tenant of product {current} can't change to {product}; only {OLD_PRODUCT} can"
        return [FinalError(INVALID_REQUEST, detail, field="productCode")]
    refusals = [
        await _find_deletion(connection, tenant_id) if sees_deletions else None,
        await _find_suspension(connection, tenant_id),
        await _find_subscription(connection, tenant_id),
    ]
    return [refusal for refusal in refusals if refusal is not None]


async def _find_deletion(connection: AsyncConnection, tenant_id: UUID) -> FinalError | None:
    if not await read_columns(connection, [pending_tenant_deletions.name]):
        return None
    columns = pending_tenant_deletions.c
    query = select(columns.workflow_id).where(columns.tenant == tenant_id, columns.status.not_in(ENDED_DELETIONS))
    if (workflow_id := await connection.scalar(query)) is None:
        return None
    detail = f"the tenant is being deleted by workflow {workflow_id}; undo the deletion first"
    return FinalError(OPERATION_IN_PROGRESS, detail)


async def _find_suspension(connection: AsyncConnection, tenant_id: UUID) -> FinalError | None:
    if not (await find_standing(connection, tenant_id)).is_suspended:
        return None
    detail = "the tenant is suspended, so no one in it could use the new product; reactivate it first"
    return FinalError(TENANT_SUSPENDED, detail)


async def _find_subscription(connection: AsyncConnection, tenant_id: UUID) -> FinalError | None:
    if not await read_columns(connection, [stripe_subscriptions.name]):
        return None
    own = stripe_subscriptions.c
    query = select(own.stripe_subscription_external_id, own.status).where(own.tenant == tenant_id)
    live = sorted(row[0] for row in await connection.execute(query) if row.status not in ENDED_SUBSCRIPTIONS)
    if not live:
        return None
    detail = (
        f"the tenant has a live subscription at Stripe ({live[0]}), whose price only Stripe's API can change: change"
        " the product in Alga, or cancel the subscription at Stripe first"
    )
    return FinalError(STRIPE_SUBSCRIPTION, detail)


async def find_product(connection: AsyncConnection, tenant_id: UUID, *, for_update: bool = False) -> str | None:
    """Return the tenant's product, or None if there is no such tenant; if need be, lock the tenant.

    The lock waits for transactions that add rows to the tenant, and lets none begin.
    """
    query = select(tenants.c.product_code).where(tenants.c.tenant == tenant_id)
    return await connection.scalar(query.with_for_update() if for_update else query)
