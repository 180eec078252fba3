"""Plans a change of product from algadesk to psa, for the preview, the transaction and its proof."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, func, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.tables import tenants
from activities.database.transactions import Statement
from activities.product_changes.backfills.live_tables import LiveTables
from activities.product_changes.backfills.service_levels import plan_service_levels
from activities.product_changes.backfills.tax_defaults import plan_tax_defaults
from activities.product_changes.backfills.technicians import plan_technicians
from activities.product_changes.matching import BlueprintMatching, TenantRows
from activities.product_changes.plan import Plan
from activities.product_changes.section_matching import SectionMatching
from workflows.tenants.steps import CHANGE_PRODUCT

_CHANGE = (
    update(tenants)
    .where(tenants.c.tenant == bindparam("tenant_id", type_=Uuid))
    .values(product_code=bindparam("product", type_=Text), updated_at=func.now())
)


async def plan_product_change(
    connection: AsyncConnection, tenant_id: UUID, blueprint: Blueprint, current: str, now: datetime
) -> Plan:
    """Return what a tenant of product `current` lacks of the blueprint's; it only reads.

    A tenant that has all of it needs nothing but the change of the product itself.
    """
    plan = Plan()
    rows = TenantRows(connection, tenant_id)
    live = await LiveTables.read(connection)
    matching = BlueprintMatching(rows, plan)
    await matching.run(blueprint, now.date())
    await SectionMatching(rows, matching, plan).run(blueprint, now)
    await plan_technicians(rows, matching, plan)
    await plan_tax_defaults(rows, live, matching, plan)
    await plan_service_levels(rows, live, plan)
    product = blueprint.product_code
    if current != product:
        change = Statement(_CHANGE, {"tenant_id": tenant_id, "product": product})
        plan.change(CHANGE_PRODUCT, tenants, change, [f"productCode: {current} becomes {product}"])
    return plan
