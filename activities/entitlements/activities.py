"""The activities that change a tenant's licence and its add-ons."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from sqlalchemy import RowMapping, func, not_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.alga.tables import tenants, users
from activities.audit.trail import AuditTrail
from activities.database.transactions import Transaction
from activities.entitlements.addons import grant, revoke
from activities.entitlements.applied import is_applied, note_applied
from activities.errors import FinalError, local_only
from activities.operations.committing import commit_once
from activities.operations.step_clock import StepClock
from workflows.operations.messages import Committed, OperationContext, OperationWarning
from workflows.tenants.entitlements import AddonInput, AddonRequest, EntitlementRequest, LicenceInput, LicenceRequest
from workflows.tenants.steps import CHANGE_ADDON, CHANGE_ADDON_ACTIVITY, CHANGE_LICENCE, CHANGE_LICENCE_ACTIVITY

TENANT_NOT_FOUND = "tenant-not-found"
USERS_ABOVE_LICENCE = "users-above-licence"
BILLED_ELSEWHERE = "billed-elsewhere"
# How many people may sign in with this plan, whatever the number of licences.
SOLO_USERS = 1
SELLERS = {"stripe": "Stripe", "apple_iap": "Apple"}

Apply: TypeAlias = Callable[[AsyncConnection, RowMapping], Awaitable[list[OperationWarning]]]


class EntitlementActivities:
    """Change licences and add-ons, each in one transaction."""

    def __init__(self, engine: AsyncEngine, audit: AuditTrail) -> None:
        self._engine = engine
        self._audit = audit

    @activity.defn(name=CHANGE_LICENCE_ACTIVITY)
    @local_only
    async def change_licence(self, given: LicenceInput) -> Committed:
        """Set the number of licences, the plan, or both; raises `ApplicationError`, with nothing written."""
        context, request = given.operation, given.request

        async def apply(connection: AsyncConnection, tenant: RowMapping) -> list[OperationWarning]:
            return await _set_licence(connection, context, request, tenant)

        return await self._change(context, request, CHANGE_LICENCE, apply)

    @activity.defn(name=CHANGE_ADDON_ACTIVITY)
    @local_only
    async def change_addon(self, given: AddonInput) -> Committed:
        """Grant or revoke an add-on; raises `ApplicationError`, with nothing written."""
        context, request = given.operation, given.request

        async def apply(connection: AsyncConnection, _: RowMapping) -> list[OperationWarning]:
            await _set_addon(connection, context, request)
            return []

        return await self._change(context, request, CHANGE_ADDON, apply)

    async def _change(
        self, context: OperationContext, request: EntitlementRequest, step: str, apply: Apply
    ) -> Committed:
        """Apply the change, unless it was applied before under its event id."""

        async def change(transaction: Transaction, steps: StepClock) -> Mapping[str, Any]:
            connection = transaction.connection
            with steps.run(step):
                tenant = await _lock_tenant(connection, context)
                is_repeated = await is_applied(connection, context.snapshot.kind, context.tenant_id, request)
                if not is_repeated:
                    steps.warnings += await apply(connection, tenant)
                    await note_applied(connection, context, request)
            return {"tenantId": str(context.tenant_id), **request.content, "isRepeated": is_repeated}

        return await commit_once(self._engine, self._audit, context, step, change)


async def _lock_tenant(connection: AsyncConnection, context: OperationContext) -> RowMapping:
    columns = tenants.c
    query = (
        select(columns.plan, columns.licensed_user_count, columns.billing_source)
        .where(columns.tenant == context.tenant_id)
        .with_for_update(key_share=True)
    )
    tenant = (await connection.execute(query)).mappings().one_or_none()
    if tenant is None:
        raise FinalError(TENANT_NOT_FOUND, "there is no such tenant", field="tenantId")
    return tenant


async def _set_licence(
    connection: AsyncConnection, context: OperationContext, request: LicenceRequest, tenant: RowMapping
) -> list[OperationWarning]:
    """Set what is requested, as Alga's own route does, which compares `stripe_event_id` with the next event."""
    wanted = {"licensed_user_count": request.license_count, "plan": request.plan}
    given = {name: value for name, value in wanted.items() if value is not None}
    event_id = request.event_id or f"alga-tenants:{context.workflow_id}"
    await connection.execute(
        update(tenants)
        .where(tenants.c.tenant == context.tenant_id)
        .values(**given, stripe_event_id=event_id, last_license_update=func.now(), updated_at=func.now())
    )
    warnings = await _above_licence(connection, context, {**tenant, **given})
    if (seller := SELLERS.get(tenant["billing_source"])) is not None:
        detail = f"the tenant pays through {seller}, whose next event may set it again; change the subscription there"
        warnings.append(OperationWarning(code=BILLED_ELSEWHERE, detail=detail))
    return warnings


async def _above_licence(
    connection: AsyncConnection, context: OperationContext, licence: Mapping[str, Any]
) -> list[OperationWarning]:
    limits = [licence["licensed_user_count"], SOLO_USERS if licence["plan"] == "solo" else None]
    limit = min((number for number in limits if number is not None), default=None)
    active = select(func.count()).where(
        users.c.tenant == context.tenant_id,
        users.c.user_type == "internal",
        not_(func.coalesce(users.c.is_inactive, False)),
    )
    number = await connection.scalar(active) or 0
    if limit is None or number <= limit:
        return []
    detail = (
        f"the tenant has {number} active users, and the licence allows {limit}: none was deactivated, and no user "
        "can be added; deactivate users in Alga, or raise the licence"
    )
    return [OperationWarning(code=USERS_ABOVE_LICENCE, detail=detail)]


async def _set_addon(connection: AsyncConnection, context: OperationContext, request: AddonRequest) -> None:
    if request.is_granted:
        await grant(connection, context.tenant_id, request.addon_key, request.expires_at)
    else:
        await revoke(connection, context.tenant_id, request.addon_key)
