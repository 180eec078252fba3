"""The activities that create a tenant: one a step, one transaction each, safe to run twice."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import bindparam, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.alga import rows, tables
from activities.alga.across_tenants import is_email_taken, what_is_taken
from activities.alga.blueprints import Blueprint
from activities.alga.bulk_insert import TableRows, documents, insert_script
from activities.alga.notifications import find_notification_defaults, notification_settings
from activities.alga.passwords import PasswordHasher, generate_password
from activities.audit import AuditTrail
from activities.database_errors import is_taken
from activities.errors import FinalError, temporal_errors
from activities.fence import (
    Entry,
    begin_operation,
    claim_script,
    enter_known_operation,
    enter_last_step,
    enter_step,
    operation_settings,
    record_completion,
)
from activities.tenant_request import TenantRequest
from activities.transactions import Transaction, Transactions
from workflows.messages import (
    OperationResult,
    PasswordHash,
    PasswordInput,
    StepDone,
    StepInput,
)
from workflows.steps import HASH_PASSWORD_ACTIVITY, STEP_ACTIVITIES, Step

# Made once: making it takes as long as running it.
_CREATED_AT = select(tables.tenants.c.created_at).where(tables.tenants.c.tenant == bindparam("tenant_id"))


class TenantCreationActivities:
    """The steps' activities, on the engine of the role that owns Alga's tables."""

    def __init__(
        self,
        engine: AsyncEngine,
        blueprints: Mapping[str, Blueprint],
        password_hasher: PasswordHasher,
        audit: AuditTrail,
    ) -> None:
        self._transactions = Transactions(engine)
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
        async with self._transactions.connect() as connection:
            if (known := await enter_known_operation(connection, step.operation)) is not None:
                await self._refuse_what_is_taken(connection, step, known)
                return StepDone()
        async with self._transactions.begin() as opened:
            begun, events = await begin_operation(opened.connection, step.operation, request)
            await self._refuse_what_is_taken(opened.connection, step, begun)
            await self._audit.append_all(opened.connection, events)
        return StepDone()

    @activity.defn(name=STEP_ACTIVITIES[Step.CREATING_TENANT])
    @temporal_errors
    async def create_tenant(self, step: StepInput) -> StepDone:
        """Write the tenant, its own client, and the client's default location.

        A second run finds the step noted in the operation's row, and writes nothing. Raises `ApplicationError`
        `tenant-exists` where the tenant is somebody else's.
        """
        tenant_id = step.operation.tenant_id
        try:
            async with self._transactions.begin() as opened:
                country = await rows.find_country(opened.connection, step.request.billing_address)
                records = [rows.tenant(step), *rows.own_client(step, country)]
                settings = documents(records) | operation_settings(step.operation)
                entry = await enter_step(opened.connection, step.operation, settings=settings)
                if entry.is_first:
                    opened.end_with(*insert_script(tenant_id, records), claim_script())
        except DBAPIError as error:
            # Inserting decides: between a look and an insert another operation could make the tenant.
            if is_taken(error, tables.tenants):
                raise _tenant_exists(step) from None
            raise
        return StepDone()

    @activity.defn(name=STEP_ACTIVITIES[Step.RUNNING_ONBOARDING_SEEDS])
    @temporal_errors
    async def apply_blueprint(self, step: StepInput) -> StepDone:
        """Write the product's roles, permissions, grants and small tables, unless an earlier run has."""
        records = self._blueprint(step).documents(step.operation.tenant_id, datetime.now(UTC).date())
        async with self._transactions.begin() as opened:
            await _enter_and_write(opened, step, records)
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
        records = rows.admin_user(step, role_id)
        async with self._transactions.begin() as opened:
            await _enter_and_write(opened, step, records, lock=step.request.admin_user.email.lower())
            if await is_email_taken(opened.connection, **_identity(step)):
                raise _email_taken()
        return StepDone()

    @activity.defn(name=STEP_ACTIVITIES[Step.SETTING_UP_DATA])
    @temporal_errors
    async def set_up_initial_data(self, step: StepInput) -> StepDone:
        """Write e-mail, tenant and notification settings, add-ons, and billing where a plan was asked for.

        Raises `ApplicationError` `unknown-billing-plan`.
        """
        # Again, because it may have been changed since the first step looked.
        self._check_billing_plan(step)
        blueprint = self._blueprint(step)
        async with self._transactions.begin() as opened:
            defaults = await find_notification_defaults(opened.connection)
            notifications = notification_settings(step.operation.tenant_id, defaults)
            await _enter_and_write(opened, step, rows.initial_data(step, blueprint, notifications))
        return StepDone()

    @activity.defn(name=STEP_ACTIVITIES[Step.COMPLETING])
    @temporal_errors
    async def complete_tenant(self, step: StepInput) -> OperationResult:
        """Close the operation as completed; a second run returns what the first one recorded."""
        tenant_id = step.operation.tenant_id
        async with self._transactions.begin() as opened:
            connection = opened.connection
            if (earlier := await enter_last_step(connection, step.operation)) is not None:
                return earlier
            result = OperationResult(
                tenant_id=tenant_id,
                admin_user_id=rows.admin_user_id(tenant_id),
                client_id=rows.client_id(tenant_id),
                created_at=await _created_at(connection, step),
            )
            await record_completion(connection, step.operation, result)
        return result

    def _blueprint(self, step: StepInput) -> Blueprint:
        return self._blueprints[step.request.product_code]

    def _check_billing_plan(self, step: StepInput) -> None:
        wanted = step.request.billing_plan
        blueprint = self._blueprint(step)
        if wanted is not None and blueprint.contract_line(wanted) is None:
            known = ", ".join(blueprint.contract_line_names) or "none"
            raise FinalError("unknown-billing-plan", f"billingPlan is not one of: {known}", field="billingPlan")

    async def _refuse_what_is_taken(self, connection: AsyncConnection, step: StepInput, entry: Entry) -> None:
        taken = await what_is_taken(connection, **_identity(step))
        if taken.tenant and not entry.owns_tenant:
            raise _tenant_exists(step)
        if taken.email:
            raise _email_taken()


async def _enter_and_write(
    opened: Transaction, step: StepInput, records: Sequence[TableRows], *, lock: str | None = None
) -> None:
    """Enter the step, and leave its rows to the transaction's end, unless they are there from an earlier run."""
    entry = await enter_step(opened.connection, step.operation, settings=documents(records), lock=lock)
    if entry.is_first:
        opened.end_with(*insert_script(step.operation.tenant_id, records))


def _tenant_exists(step: StepInput) -> FinalError:
    return FinalError(
        "tenant-exists", f"tenant {step.operation.tenant_id} exists already; use another tenantId", field="tenantId"
    )


def _email_taken() -> FinalError:
    return FinalError(
        "duplicate-email",
        "another internal user has the administrator's e-mail already; use another address",
        field="adminUser.email",
    )


def _identity(step: StepInput) -> dict[str, Any]:
    """What may be given once only: the tenant's id, and its administrator's id and e-mail."""
    tenant_id = step.operation.tenant_id
    return {
        "email": step.request.admin_user.email.lower(),
        "tenant_id": tenant_id,
        "user_id": rows.admin_user_id(tenant_id),
    }


async def _created_at(connection: AsyncConnection, step: StepInput) -> datetime:
    tenant_id = step.operation.tenant_id
    created_at: datetime | None = await connection.scalar(_CREATED_AT, {"tenant_id": tenant_id})
    if created_at is None:
        raise FinalError("tenant-missing", f"tenant {tenant_id} has vanished while it was being created")
    return created_at
