"""Changes the product of tenants, and previews that."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.directory.tenants import TenantRecord
from activities.errors import FinalError
from activities.product_changes.plan import Plan
from activities.product_changes.planning import plan_product_change
from activities.product_changes.refusals import find_product, find_refusals
from activities.product_changes.rights import PREVIEW_COLUMNS, section_columns
from app.auth.callers import Caller, Requester
from app.database import database_errors
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.directory.changes import NotNeededError, TenantChange, TenantChanges, refusal_problem, rival_of
from app.gateway.directory.lookup import TenantLookup
from app.gateway.directory.protection import readable
from app.gateway.product_changes.schemas import ProductChangePreview
from app.settings import Settings
from workflows.operations.failures import OPERATION_IN_PROGRESS
from workflows.tenants.changes.product_change import NEW_PRODUCT, ProductChangeRequest
from workflows.tenants.steps import PRODUCT_CHANGE, PRODUCT_CHANGE_WORKFLOW


@dataclass(frozen=True, repr=False)
class ProductChanges:
    """Starts operations that change products, waits for them, and previews them."""

    settings: Settings
    engine: AsyncEngine
    blueprints: Mapping[str, Blueprint]
    tenants: TenantLookup
    changes: TenantChanges

    async def change(self, path_id: str, requester: Requester, wait: int | None) -> TenantChange:
        """Change the tenant's product, unless it has it, and wait for that number of seconds.

        Raises:
            ProblemError: there is no such tenant for the caller, its product can't be changed, another operation on
                it has not ended, or the operation has failed or was cancelled.
            TemporalUnavailableError, DatabaseUnavailableError: as `OperationStarts.start`.
        """
        tenant = await self.tenants.find_live(requester.caller, path_id)
        management_tenant = self.settings.master_billing_tenant_id

        async def check(connection: AsyncConnection) -> None:
            current = await find_product(connection, tenant.tenant_id)
            if current is None:
                raise TenantNotFoundError
            # The worker also looks for a deletion by Alga itself.
            for refusal in await find_refusals(
                connection, tenant.tenant_id, current, NEW_PRODUCT, management_tenant, sees_deletions=False
            ):
                raise refusal_problem(refusal)
            if current == NEW_PRODUCT:
                raise NotNeededError

        request = ProductChangeRequest(tenant_id=tenant.tenant_id, tenant_name=tenant.name, origin=requester.origin())
        return await self.changes.make(PRODUCT_CHANGE, PRODUCT_CHANGE_WORKFLOW, request, requester, check, wait)

    async def preview(self, caller: Caller, path_id: str) -> ProductChangePreview:
        """Return what a change would write.

        Raises `TenantNotFoundError`, `UnreadableTablesError` or `DatabaseUnavailableError`.
        """
        tenant = await self.tenants.find_live(caller, path_id)
        blueprint = self.blueprints[NEW_PRODUCT]
        with database_errors():
            async with (
                self.engine.connect() as connection,
                readable(connection, PREVIEW_COLUMNS | section_columns(blueprint)),
            ):
                refusals = await self._refusals(connection, tenant)
                plan = Plan()
                if tenant.product_code != NEW_PRODUCT:
                    plan = await plan_product_change(
                        connection, tenant.tenant_id, blueprint, tenant.product_code, datetime.now(UTC)
                    )
        return ProductChangePreview.of(tenant, NEW_PRODUCT, plan, refusals)

    async def _refusals(self, connection: AsyncConnection, tenant: TenantRecord) -> list[FinalError]:
        management_tenant = self.settings.master_billing_tenant_id
        refusals = await find_refusals(
            connection, tenant.tenant_id, tenant.product_code, NEW_PRODUCT, management_tenant
        )
        if (detail := await rival_of(connection, tenant.tenant_id, PRODUCT_CHANGE)) is not None:
            refusals = [refusal for refusal in refusals if refusal.code != OPERATION_IN_PROGRESS]
            refusals.append(FinalError(OPERATION_IN_PROGRESS, detail))
        return refusals
