"""The activities that make a tenant: one hashes the password, one writes all rows in one transaction."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import Text, bindparam, func
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.alga import tables
from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.notifications import NOTIFICATION_DEFAULTS, read_notification_defaults
from activities.alga.passwords import PasswordHasher, generate_password
from activities.audit.trail import AuditTrail
from activities.customers.portal_user import check_portal_user
from activities.database.errors import is_unique_violation
from activities.database.transactions import Transaction, Transactions
from activities.errors import FinalError, activity_errors, local_only, temporal_errors
from activities.operations.cancelled_commits import cancellable_commit
from activities.operations.rows import OperationRow
from activities.operations.step_clock import StepClock
from activities.tenants.admin_user import ADMIN_USER, admin_user_id, admin_user_rows, write_admin_user
from activities.tenants.billing import (
    LOCKED,
    BillingLinks,
    check_billing_links,
    find_billing_links,
    has_billing_links,
    lock_values,
)
from activities.tenants.blueprint import write_blueprint
from activities.tenants.conflicts import refuse_conflicts, tenant_exists_error
from activities.tenants.initial_data import write_initial_data
from activities.tenants.request import TenantRequest, check_password
from activities.tenants.tenant import COUNTRY_NAME, client_id, country_code, write_tenant
from workflows.operations.failures import INVALID_REQUEST
from workflows.operations.messages import Committed, OperationContext, OperationWarning
from workflows.tenants.request import (
    OperationResult,
    PasswordHash,
    PasswordInput,
    ProvisionInput,
    TenantCreationInput,
)
from workflows.tenants.steps import (
    APPLY_BLUEPRINT,
    CREATE_ADMIN_USER,
    CREATE_TENANT,
    HASH_PASSWORD_ACTIVITY,
    PROVISION_ACTIVITY,
    SET_UP_DATA,
    TRACK_CUSTOMER,
    VALIDATE,
)

_EMAIL_LOCK = func.pg_advisory_xact_lock(func.hashtext(bindparam("email", type_=Text)))


class ProvisioningActivities:
    """The activities of a creation until its commit, on the engine of the role that owns Alga's tables.

    `following` are the configured steps after the commit; the others are skipped. `billing_tenant` is Alga's
    management tenant, without which no customer of Stripe can be stored. `mails_have_links` says whether the reader
    of a welcome mail can set a password.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        blueprints: Mapping[str, Blueprint],
        password_hasher: PasswordHasher,
        audit: AuditTrail,
        *,
        following: Collection[str] = (),
        billing_tenant: UUID | None = None,
        mails_have_links: bool = False,
    ) -> None:
        self._engine = engine
        self._transactions = Transactions(engine)
        self._blueprints = blueprints
        self._password_hasher = password_hasher
        self._audit = audit
        self._following = frozenset(following)
        self._billing_tenant = billing_tenant
        self._mails_have_links = mails_have_links

    @activity.defn(name=HASH_PASSWORD_ACTIVITY)
    @local_only
    @temporal_errors
    async def hash_password(self, given: PasswordInput) -> PasswordHash:
        """Hash a password that came in clear, or else a random one, whose owner sets another by the link in a mail.

        Raises `ApplicationError`: `invalid-request` if the password breaks the rules, or is missing and the owner
        gets no link.
        """
        if given.password is not None:
            try:
                check_password(given.password)
            except ValidationError as error:
                raise _invalid(error, "adminUser", "password") from None
        elif given.skip_welcome_email:
            raise _no_password("must be given with skipWelcomeEmail, because nothing else lets its owner sign in")
        elif not self._mails_have_links:
            raise _no_password(
                "must be given, because the worker can't mail a link to set one, for which it needs MAIL_PROVIDER "
                "and ALGA_SECRET_KEY"
            )
        return PasswordHash(password_hash=self._password_hasher.hash(given.password or generate_password()))

    @activity.defn(name=PROVISION_ACTIVITY)
    @local_only
    async def provision_tenant(self, given: ProvisionInput) -> Committed:
        """Write all rows of the tenant and the commit in the operation's row, and commit once.

        A second run finds the commit in the operation's row, writes nothing, and returns the same. Raises
        `ApplicationError`, whose details name the step: `invalid-request`, `unknown-billing-plan`, `tenant-exists`,
        `duplicate-email`, `operation-in-progress`, `cancel-requested`, `operation-closed`; nothing is written then.
        """
        skipped = given.request.skipped_steps
        if given.operation.tenant_id == self._billing_tenant:
            # It is no customer of its own.
            skipped |= {TRACK_CUSTOMER}
        steps = StepClock(given.operation, self._following - skipped)
        with activity_errors(PROVISION_ACTIVITY, lambda: steps.current):
            return await self._provision(given.operation, given.request, steps)

    async def _provision(
        self, context: OperationContext, request: TenantCreationInput, steps: StepClock
    ) -> Committed:
        with steps.run(VALIDATE):
            request = self._validated(request, context, steps)
        try:
            async with cancellable_commit(self._engine, context), self._transactions.begin() as transaction:
                return await self._write(transaction, context, request, steps)
        except DBAPIError as error:
            if is_unique_violation(error, tables.tenants):
                # Another service made the tenant since `find_conflicts`.
                raise tenant_exists_error(context.tenant_id) from None
            raise

    async def _write(
        self, transaction: Transaction, context: OperationContext, request: TenantCreationInput, steps: StepClock
    ) -> Committed:
        tenant_id = context.tenant_id
        blueprint = self._blueprints[request.product_code]
        row = OperationRow(transaction.connection, context)
        admin = admin_user_rows(tenant_id, request.admin_user)
        has_links = has_billing_links(request)
        links = BillingLinks()
        with steps.run(VALIDATE):
            # One round trip for the locks of the row and the e-mail, and everything that must be known or kept.
            locked = await row.ensure_locked(
                COUNTRY_NAME,
                NOTIFICATION_DEFAULTS,
                _EMAIL_LOCK,
                ADMIN_USER.column,
                *(LOCKED if has_links else ()),
                country_code=country_code(request),
                email=request.admin_user.email,
                **{ADMIN_USER.name: admin.document},
                **(lock_values(request) if has_links else {}),
            )
            if locked.committed is not None:
                return locked.committed
            await row.check_open(locked)
            await refuse_conflicts(transaction.connection, tenant_id, request)
            if has_links:
                links = await find_billing_links(
                    transaction.connection, tenant_id, request, locked.also[4:], self._billing_tenant
                )
                request = request.model_copy(update={"plan": links.plan or request.plan})
                steps.warnings += links.warnings
        created_at = datetime.now(UTC)
        country_name, defaults = locked.also[:2]
        with steps.run(CREATE_TENANT):
            await write_tenant(
                transaction,
                tenant_id,
                request,
                country_name=country_name,
                created_at=created_at,
                source=context.workflow_id,
                links=links.rows,
            )
        with steps.run(APPLY_BLUEPRINT):
            await write_blueprint(transaction, tenant_id, blueprint, created_at.date())
        with steps.run(CREATE_ADMIN_USER):
            await write_admin_user(transaction, tenant_id, admin, blueprint.admin_role_id(tenant_id))
        with steps.run(SET_UP_DATA):
            notifications = read_notification_defaults(defaults)
            await write_initial_data(transaction, tenant_id, request, blueprint, notifications, created_at=created_at)
        committed = steps.committed(
            OperationResult(
                tenant_id=tenant_id,
                admin_user_id=admin_user_id(tenant_id),
                client_id=client_id(tenant_id),
                created_at=created_at,
            ).model_dump(mode="json")
        )
        transaction.run_with_commit(row.commit_statement(committed))
        for event in row.request_events:
            await self._audit.append_with_commit(transaction, event)
        return committed

    def _validated(
        self, request: TenantCreationInput, context: OperationContext, steps: StepClock
    ) -> TenantCreationInput:
        """Return the validated request, with normalised values.

        An unknown billing plan of a client of Temporal becomes a warning, as in Alga. Raises `FinalError`:
        `invalid-request`, `billing-incomplete`, or `unknown-billing-plan`.
        """
        try:
            validated = TenantRequest.of(request)
        except ValidationError as error:
            raise _invalid(error) from None
        check_billing_links(validated)
        check_portal_user(validated, self._billing_tenant, mails_have_links=self._mails_have_links)
        try:
            self._blueprints[validated.product_code].check_billing_plan(validated.billing_plan)
        except FinalError as error:
            if request.origin.is_gateway:
                raise
            validated = validated.model_copy(update={"billing_plan": None})
            detail = f"{error.detail}; the tenant has been made without it"
            steps.warnings.append(OperationWarning(code=error.code, detail=detail, field=error.field))
        return validated.to_message(
            tenant_id=context.tenant_id,
            password_hash=request.admin_user.password_hash or "",
            origin=request.origin,
        )


def _no_password(detail: str) -> FinalError:
    field = "adminUser.password"
    return FinalError(INVALID_REQUEST, f"{field}: {detail}", field=field)


def _invalid(error: ValidationError, *prefix: str) -> FinalError:
    """Return the error of the first invalid field; `prefix` is the path of the validated value in the request."""
    fault = error.errors(include_input=False)[0]
    field = ".".join(str(part) for part in (*prefix, *fault["loc"]))
    return FinalError(INVALID_REQUEST, f"{field}: {fault['msg']}", field=field)
