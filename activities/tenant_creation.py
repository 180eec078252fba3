"""The activities that create a tenant: one a step, one transaction each, safe to run twice."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.alga import rows
from activities.alga.across_tenants import is_email_taken, lock_email
from activities.alga.blueprints import Blueprint
from activities.alga.bulk_insert import insert_rows
from activities.alga.passwords import PasswordHasher, generate_password
from activities.alga.tables import tenants
from activities.audit import AuditTrail
from activities.errors import FinalError, temporal_errors
from activities.operations import (
    claim_tenant,
    completed_result,
    enter_step,
    record_completion,
    record_operation,
)
from activities.tenant_request import TenantRequest
from workflows.messages import (
    OperationResult,
    PasswordHash,
    PasswordInput,
    StepDone,
    StepInput,
)
from workflows.steps import HASH_PASSWORD_ACTIVITY, STEP_ACTIVITIES, Step


class TenantCreationActivities:
    """The steps' activities, on the engine of the role that owns Alga's tables."""

    def __init__(
        self,
        engine: AsyncEngine,
        blueprints: Mapping[str, Blueprint],
        password_hasher: PasswordHasher,
        audit: AuditTrail,
    ) -> None:
        self._engine = engine
        self._blueprints = blueprints
        self._password_hasher = password_hasher
        self._audit = audit

    @activity.defn(name=HASH_PASSWORD_ACTIVITY)
    @temporal_errors
    async def hash_password(self, given: PasswordInput) -> PasswordHash:
        """Hash a password that came in clear, or one that nobody knows, so that its owner must reset it."""
        return PasswordHash(password_hash=self._password_hasher.hash(given.password or generate_password()))

    @activity.defn(name=STEP_ACTIVITIES[Step.INITIALIZING])
    @temporal_errors
    async def validate_tenant_request(self, step: StepInput) -> StepDone:
        """Record the operation and refuse early what can't succeed.

        Writes the operation's row only, unless it is there. Raises `ApplicationError`: `invalid-request`,
        `unknown-billing-plan`, `tenant-exists`, `duplicate-email`.
        """
        request = step.request
        try:
            TenantRequest.of(request)
        except ValidationError as error:
            fault = error.errors(include_input=False)[0]
            field = ".".join(str(part) for part in fault["loc"])
            raise FinalError("invalid-request", f"{field}: {fault['msg']}", field=field) from None
        self._check_billing_plan(step)
        async with self._engine.begin() as connection:
            await record_operation(connection, step.operation, request, self._audit)
            if not await enter_step(connection, step.operation):
                await self._refuse_existing_tenant(connection, step)
            await self._refuse_taken_email(connection, step)
        return StepDone()

    @activity.defn(name=STEP_ACTIVITIES[Step.CREATING_TENANT])
    @temporal_errors
    async def create_tenant(self, step: StepInput) -> StepDone:
        """Write the tenant, its own client, and the client's default location.

        A second run finds the tenant claimed by this operation, and every id taken. Raises `ApplicationError`
        `tenant-exists` where the tenant is somebody else's.
        """
        tenant_id = step.operation.tenant_id
        async with self._step(step) as (connection, owns_tenant):
            if not owns_tenant:
                # Inserting decides: between a look and an insert another operation could make the tenant.
                inserted = await insert_rows(connection, tenant_id, *rows.tenant(step))
                if inserted == 0:
                    raise _tenant_exists(step)
                await claim_tenant(connection, step.operation)
            country = await rows.find_country(connection, step.request.billing_address)
            for table, records in rows.own_client(step, country):
                await insert_rows(connection, tenant_id, table, records)
        return StepDone()

    @activity.defn(name=STEP_ACTIVITIES[Step.RUNNING_ONBOARDING_SEEDS])
    @temporal_errors
    async def apply_blueprint(self, step: StepInput) -> StepDone:
        """Write the product's roles, permissions, grants and small tables; ids are derived, so once is enough."""
        tenant_id = step.operation.tenant_id
        blueprint = self._blueprint(step)
        async with self._step(step) as (connection, _):
            for table, records in blueprint.rows(tenant_id, datetime.now(UTC).date()):
                await insert_rows(connection, tenant_id, table, records)
        return StepDone()

    @activity.defn(name=STEP_ACTIVITIES[Step.CREATING_ADMIN_USER])
    @temporal_errors
    async def create_admin_user(self, step: StepInput) -> StepDone:
        """Write the administrator with the MSP `Admin` role.

        Check and insert happen under one lock on the e-mail, so of many at once one wins. Raises
        `ApplicationError` `duplicate-email` for the others.
        """
        tenant_id = step.operation.tenant_id
        role_id = self._blueprint(step).admin_role_id(tenant_id)
        async with self._step(step) as (connection, _):
            await lock_email(connection, step.request.admin_user.email.lower())
            await self._refuse_taken_email(connection, step)
            for table, records in rows.admin_user(step, role_id):
                await insert_rows(connection, tenant_id, table, records)
        return StepDone()

    @activity.defn(name=STEP_ACTIVITIES[Step.SETTING_UP_DATA])
    @temporal_errors
    async def set_up_initial_data(self, step: StepInput) -> StepDone:
        """Write e-mail, tenant and notification settings, add-ons, and billing where a plan was asked for.

        Raises `ApplicationError` `unknown-billing-plan`.
        """
        tenant_id = step.operation.tenant_id
        # Again, because it may have been changed since the first step looked.
        self._check_billing_plan(step)
        blueprint = self._blueprint(step)
        async with self._step(step) as (connection, _):
            await rows.insert_email_settings(connection, step)
            notifications = await rows.find_notification_defaults(connection)
            for table, records in rows.initial_data(step, blueprint, notifications):
                await insert_rows(connection, tenant_id, table, records)
        return StepDone()

    @activity.defn(name=STEP_ACTIVITIES[Step.COMPLETING])
    @temporal_errors
    async def complete_tenant(self, step: StepInput) -> OperationResult:
        """Close the operation as completed; a second run returns what the first one recorded."""
        tenant_id = step.operation.tenant_id
        async with self._engine.begin() as connection:
            if (earlier := await completed_result(connection, step.operation)) is not None:
                return earlier
            await enter_step(connection, step.operation)
            result = OperationResult(
                tenant_id=tenant_id,
                admin_user_id=rows.admin_user_id(tenant_id),
                client_id=rows.client_id(tenant_id),
                created_at=await _created_at(connection, step),
            )
            await record_completion(connection, step.operation, result)
        return result

    @asynccontextmanager
    async def _step(self, step: StepInput) -> AsyncIterator[tuple[AsyncConnection, bool]]:
        """The step's transaction, and whether the tenant is this operation's already."""
        async with self._engine.begin() as connection:
            yield connection, await enter_step(connection, step.operation)

    def _blueprint(self, step: StepInput) -> Blueprint:
        return self._blueprints[step.request.product_code]

    def _check_billing_plan(self, step: StepInput) -> None:
        wanted = step.request.billing_plan
        blueprint = self._blueprint(step)
        if wanted is not None and blueprint.contract_line(wanted) is None:
            known = ", ".join(blueprint.contract_line_names) or "none"
            raise FinalError("unknown-billing-plan", f"billingPlan is not one of: {known}", field="billingPlan")

    async def _refuse_existing_tenant(self, connection: AsyncConnection, step: StepInput) -> None:
        tenant_id = step.operation.tenant_id
        if await connection.scalar(select(tenants.c.tenant).where(tenants.c.tenant == tenant_id)) is not None:
            raise _tenant_exists(step)

    async def _refuse_taken_email(self, connection: AsyncConnection, step: StepInput) -> None:
        tenant_id = step.operation.tenant_id
        email = step.request.admin_user.email.lower()
        if await is_email_taken(connection, email, tenant_id=tenant_id, user_id=rows.admin_user_id(tenant_id)):
            raise FinalError(
                "duplicate-email",
                "another internal user has the administrator's e-mail already; use another address",
                field="adminUser.email",
            )


def _tenant_exists(step: StepInput) -> FinalError:
    return FinalError(
        "tenant-exists", f"tenant {step.operation.tenant_id} exists already; use another tenantId", field="tenantId"
    )


async def _created_at(connection: AsyncConnection, step: StepInput) -> datetime:
    tenant_id = step.operation.tenant_id
    created_at: datetime | None = await connection.scalar(
        select(tenants.c.created_at).where(tenants.c.tenant == tenant_id)
    )
    if created_at is None:
        raise FinalError("tenant-missing", f"tenant {tenant_id} has vanished while it was being created")
    return created_at
