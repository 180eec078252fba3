"""The activity that changes the product of a tenant."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.alga.blueprints.blueprint import Blueprint
from activities.audit.trail import AuditTrail
from activities.customers.product import change_customer_product
from activities.database.transactions import Transaction
from activities.errors import FinalError, PassingError, local_only
from activities.operations.committing import commit_once
from activities.operations.step_clock import StepClock
from activities.product_changes.plan import Plan
from activities.product_changes.planning import plan_product_change
from activities.product_changes.refusals import find_product, find_refusals
from workflows.operations.messages import Committed
from workflows.tenants.changes.product_change import ProductChangeInput, ProductChangeResult
from workflows.tenants.steps import (
    APPLY_BLUEPRINT,
    BACKFILL_CLIENTS,
    BACKFILL_SLAS,
    CHANGE_PRODUCT,
    CHANGE_PRODUCT_ACTIVITY,
    GRANT_RIGHTS,
    VALIDATE,
    VERIFY,
)

TENANT_NOT_FOUND = "tenant-not-found"
ROWS_MISSING = "rows-missing"
WRITING_STEPS = (APPLY_BLUEPRINT, GRANT_RIGHTS, BACKFILL_CLIENTS, BACKFILL_SLAS, CHANGE_PRODUCT)


class ProductChangeActivities:
    """Changes products, each in one transaction."""

    def __init__(
        self,
        engine: AsyncEngine,
        blueprints: Mapping[str, Blueprint],
        audit: AuditTrail,
        management_tenant: UUID | None,
    ) -> None:
        self._engine = engine
        self._blueprints = blueprints
        self._audit = audit
        self._management_tenant = management_tenant

    @activity.defn(name=CHANGE_PRODUCT_ACTIVITY)
    @local_only
    async def change_product(self, given: ProductChangeInput) -> Committed:
        """Add what the tenant lacks of the new product, and set its product last; a second run changes nothing.

        Raises `ApplicationError`, whose details name the step, with nothing written.
        """

        async def change(transaction: Transaction, steps: StepClock) -> dict[str, Any]:
            return (await self._change(transaction, given, steps)).model_dump(mode="json")

        return await commit_once(self._engine, self._audit, given.operation, CHANGE_PRODUCT_ACTIVITY, change)

    async def _change(
        self, transaction: Transaction, given: ProductChangeInput, steps: StepClock
    ) -> ProductChangeResult:
        connection, tenant_id = transaction.connection, given.operation.tenant_id
        blueprint = self._blueprints[given.request.product_code]
        now = datetime.now(UTC)
        with steps.run(VALIDATE):
            current = await find_product(connection, tenant_id, for_update=True)
            if current is None:
                raise FinalError(TENANT_NOT_FOUND, "there is no such tenant", field="tenantId")
            product = given.request.product_code
            for refusal in await find_refusals(connection, tenant_id, current, product, self._management_tenant):
                raise refusal
            plan = Plan()
            if current != product:
                plan = await plan_product_change(connection, tenant_id, blueprint, current, now)
        for step in WRITING_STEPS:
            with steps.run(step):
                if statements := plan.statements(tenant_id, step):
                    await transaction.run(*statements)
        with steps.run(VERIFY):
            left = Plan()
            if not plan.is_empty:
                left = await plan_product_change(connection, tenant_id, blueprint, product, now)
            if not left.is_empty:
                missing = ", ".join(f"{part.table} ({part.number})" for part in left.parts)
                detail = f"the tenant still lacks rows of {missing}; a trigger or another writer has removed them"
                raise PassingError(ROWS_MISSING, detail)
        steps.warnings += plan.warnings
        if current != product and self._management_tenant is not None:
            steps.warnings += await change_customer_product(
                connection, tenant_id, self._management_tenant, before=current, after=product
            )
        return ProductChangeResult(
            tenant_id=tenant_id, product_code=product, previous_product_code=current, added_rows=plan.added
        )
