"""The activity that writes everything of a tenant, in one transaction."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import Text, bindparam, func
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.alga import tables
from activities.alga.across_tenants import what_is_taken
from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.bulk_insert import TableRows, document_settings, insert_script
from activities.alga.notifications import NOTIFICATION_DEFAULTS, notification_settings, read_notification_defaults
from activities.alga.passwords import PasswordHasher, generate_password
from activities.audit.trail import AuditTrail
from activities.database.errors import is_taken, refuses_null
from activities.database.own_tables import operations
from activities.database.transactions import Transaction, Transactions
from activities.errors import CancelRequestedError, FinalError, activity_errors, temporal_errors
from activities.operations.local_only import local_only
from activities.operations.rows import (
    LockedOperation,
    check_open,
    commit_script,
    find_cancellation,
    insert_operation,
    lock_operation,
    refuse_used_start,
    request_event,
)
from activities.tenants.admin_user import admin_user_id, admin_user_rows
from activities.tenants.blueprint import blueprint_rows
from activities.tenants.initial_data import initial_data_rows
from activities.tenants.request import TenantRequest, check_password
from activities.tenants.tenant import COUNTRY_NAME, client_id, read_country, tenant_rows
from workflows.operations.failures import INVALID_REQUEST
from workflows.operations.messages import (
    Committed,
    OperationContext,
    OperationResult,
    PasswordHash,
    PasswordInput,
    ProvisionInput,
    StepProgress,
    StepStatus,
    TenantCreationInput,
)
from workflows.tenants.steps import (
    APPLY_BLUEPRINT,
    COMPLETE,
    CREATE_ADMIN_USER,
    CREATE_TENANT,
    HASH_PASSWORD_ACTIVITY,
    PROVISION_ACTIVITY,
    SET_UP_DATA,
    TENANT_CREATION,
    VALIDATE,
)

_EMAIL_LOCK = func.pg_advisory_xact_lock(func.hashtext(bindparam("email", type_=Text)))


class ProvisioningActivities:
    """The activities of a creation until its commit, on the engine of the role that owns Alga's tables.

    `following` are the steps after the commit that are configured; the others are skipped.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        blueprints: Mapping[str, Blueprint],
        password_hasher: PasswordHasher,
        audit: AuditTrail,
        *,
        following: Collection[str] = (),
    ) -> None:
        self._transactions = Transactions(engine)
        self._blueprints = blueprints
        self._password_hasher = password_hasher
        self._audit = audit
        self._following = frozenset(following)

    @activity.defn(name=HASH_PASSWORD_ACTIVITY)
    @local_only
    @temporal_errors
    async def hash_password(self, given: PasswordInput) -> PasswordHash:
        """Hash a password that came in clear, or else a random one, so that its owner must reset it.

        Raises `ApplicationError`: `invalid-request` for a password that breaks the rules.
        """
        if given.password is not None:
            try:
                check_password(given.password)
            except ValidationError as error:
                raise _invalid(error, "adminUser", "password") from None
        return PasswordHash(password_hash=self._password_hasher.hash(given.password or generate_password()))

    @activity.defn(name=PROVISION_ACTIVITY)
    @local_only
    async def provision_tenant(self, given: ProvisionInput) -> Committed:
        """Write all rows of the tenant, note it in the operation's row, and commit once.

        A second run finds the commit in the operation's row, writes nothing, and returns the same. Raises
        `ApplicationError`, whose details name the step: `invalid-request`, `unknown-billing-plan`, `tenant-exists`,
        `duplicate-email`, `operation-in-progress`, `cancel-requested`, `operation-closed`; nothing is written then.
        """
        steps = StepClock(given.operation, self._following)
        with activity_errors(PROVISION_ACTIVITY, lambda: steps.current):
            return await self._provision(given.operation, given.request, steps)

    async def _provision(
        self, context: OperationContext, request: TenantCreationInput, steps: "StepClock"
    ) -> Committed:
        with steps.run(VALIDATE):
            request = self._validated(request, context)
        try:
            async with self._transactions.begin() as opened:
                return await self._write(opened, context, request, steps)
        except DBAPIError as error:
            if is_taken(error, tables.tenants):
                # Inserting decides: between a look and an insert another operation could make the tenant.
                raise _tenant_exists(context.tenant_id) from None
            if refuses_null(error, operations):
                raise await self._cancelled(context) from None
            raise

    async def _write(
        self, opened: Transaction, context: OperationContext, request: TenantCreationInput, steps: "StepClock"
    ) -> Committed:
        tenant_id = context.tenant_id
        blueprint = self._blueprints[request.product_code]
        admin = admin_user_rows(tenant_id, request.admin_user, blueprint.admin_role_id(tenant_id))
        with steps.run(VALIDATE):
            locked, is_new = await _lock(opened.connection, context, request, admin)
            if locked.committed is not None:
                return locked.committed
            await check_open(opened.connection, locked, context)
            await _refuse_what_is_taken(opened.connection, tenant_id, request)
        created_at = datetime.now(UTC)
        country_name, defaults = locked.also[:2]
        country = read_country(request.billing_address, country_name)
        with steps.run(CREATE_TENANT):
            source = context.workflow_id
            rows = tenant_rows(tenant_id, request, country=country, created_at=created_at, source=source)
            await opened.run(*insert_script(tenant_id, rows))
        with steps.run(APPLY_BLUEPRINT):
            rows = blueprint_rows(tenant_id, blueprint, created_at.date())
            await opened.run(*insert_script(tenant_id, rows))
        with steps.run(CREATE_ADMIN_USER):
            await opened.run(*insert_script(tenant_id, admin, from_settings=True))
        with steps.run(SET_UP_DATA):
            notifications = notification_settings(tenant_id, read_notification_defaults(defaults))
            rows = initial_data_rows(tenant_id, request, blueprint, notifications)
            await opened.run(*insert_script(tenant_id, rows))
        result = OperationResult(
            tenant_id=tenant_id,
            admin_user_id=admin_user_id(tenant_id),
            client_id=client_id(tenant_id),
            created_at=created_at,
        )
        committed = steps.committed(result)
        opened.end_with(commit_script(context, committed))
        if is_new:
            await self._audit.append_with_commit(opened, request_event(context))
        return committed

    def _validated(self, request: TenantCreationInput, context: OperationContext) -> TenantCreationInput:
        """Return the request held to the rules, with normalised values.

        Raises `FinalError`: `invalid-request` or `unknown-billing-plan`.
        """
        try:
            validated = TenantRequest.of(request)
        except ValidationError as error:
            raise _invalid(error) from None
        blueprint = self._blueprints[validated.product_code]
        if validated.billing_plan is not None and blueprint.contract_line(validated.billing_plan) is None:
            known = ", ".join(blueprint.contract_line_names) or "none"
            raise FinalError("unknown-billing-plan", f"billingPlan is not one of: {known}", field="billingPlan")
        return validated.to_message(
            tenant_id=context.tenant_id,
            password_hash=request.admin_user.password_hash or "",
            origin=request.origin,
        )

    async def _cancelled(self, context: OperationContext) -> Exception:
        async with self._transactions.connect() as connection:
            cancel = await find_cancellation(connection, context)
        if cancel is None:
            return FinalError("operation-closed", "the cancel that stopped the commit has vanished")
        return CancelRequestedError(cancel)


class StepClock:
    """Times the steps of a transaction, and knows which one is at work."""

    def __init__(self, context: OperationContext, following: Collection[str]) -> None:
        self.current: str | None = None
        self._attempts = max((step.attempts for step in context.snapshot.steps), default=1)
        self._following = following
        self._steps: dict[str, StepProgress] = {}

    @contextmanager
    def run(self, step: str) -> Iterator[None]:
        """Take the time of a step; its start is the first one's if it is run in two pieces."""
        self.current = step
        known = self._steps.get(step)
        started_at = known.started_at if known is not None else datetime.now(UTC)
        yield
        self._steps[step] = StepProgress(
            name=step,
            status=StepStatus.COMPLETED,
            started_at=started_at,
            finished_at=datetime.now(UTC),
            attempts=self._attempts,
        )

    def committed(self, result: OperationResult) -> Committed:
        """Return what is committed now: if no step follows, the operation is complete with it."""
        self.current = COMPLETE
        now = datetime.now(UTC)
        for step in TENANT_CREATION.steps:
            if step.name in self._following:
                self._steps[step.name] = StepProgress(name=step.name)
            elif step.activity is not None:
                self._steps[step.name] = StepProgress(name=step.name, status=StepStatus.SKIPPED)
        last = StepProgress(name=COMPLETE)
        if not self._following:
            last = StepProgress(
                name=COMPLETE, status=StepStatus.COMPLETED, started_at=now, finished_at=now, attempts=self._attempts
            )
        return Committed(committed_at=now, steps=(*self._steps.values(), last), result=result.model_dump(mode="json"))


async def _lock(
    connection: AsyncConnection, context: OperationContext, request: TenantCreationInput, admin: list[TableRows]
) -> tuple[LockedOperation, bool]:
    """Lock the operation's row and the administrator's e-mail, and read what rows are made of in the same round trip.

    The administrator's rows, which hold a secret, are sent as parameters. Also returns whether the operation's row is
    new: the gateway has written it unless a client started the workflow itself.
    """
    expressions, values = document_settings(admin)
    address = request.billing_address
    code = address.country_code.upper() if address is not None and address.country_code is not None else None

    async def lock() -> LockedOperation | None:
        return await lock_operation(
            connection,
            context,
            COUNTRY_NAME,
            NOTIFICATION_DEFAULTS,
            _EMAIL_LOCK,
            *expressions,
            country_code=code,
            email=request.admin_user.email,
            **values,
        )

    locked = await lock()
    is_new = locked is None and await insert_operation(connection, context)
    if is_new:
        await refuse_used_start(connection, context)
    if locked is None and (locked := await lock()) is None:
        raise FinalError("operation-closed", "the operation's row has vanished, so nothing was written")
    return locked, is_new


async def _refuse_what_is_taken(connection: AsyncConnection, tenant_id: UUID, request: TenantCreationInput) -> None:
    """Raise `FinalError` if the tenant exists, or another internal user has the e-mail, which is locked."""
    taken = await what_is_taken(
        connection, request.admin_user.email, tenant_id=tenant_id, user_id=admin_user_id(tenant_id)
    )
    if taken.tenant:
        raise _tenant_exists(tenant_id)
    if taken.email:
        raise FinalError(
            "duplicate-email",
            "another internal user has the administrator's e-mail already; use another address",
            field="adminUser.email",
        )


def _invalid(error: ValidationError, *place: str) -> FinalError:
    """Return the error of a field at fault; `place` is where the validated document stands in the request."""
    fault = error.errors(include_input=False)[0]
    field = ".".join(str(part) for part in (*place, *fault["loc"]))
    return FinalError(INVALID_REQUEST, f"{field}: {fault['msg']}", field=field)


def _tenant_exists(tenant_id: UUID) -> FinalError:
    return FinalError("tenant-exists", f"tenant {tenant_id} exists already; use another tenantId", field="tenantId")
