"""Starts the creation of a tenant, once for each Idempotency-Key."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.passwords import PasswordHasher, generate_password
from activities.alga.tables import tenants
from activities.audit.trail import AuditTrail
from activities.database.errors import DATABASE_ERRORS
from activities.database.transactions import Transactions
from activities.errors import FinalError
from activities.operations.records import find_operation
from activities.operations.rows import insert_operation, request_event, revoke_start
from activities.tenants.request import TenantRequest
from app.auth.callers import Caller, Requester
from app.database import DatabaseUnavailableError, database_errors
from app.gateway.access.problems import OtherTenantIdError
from app.gateway.access.rate_limits import RateLimits
from app.gateway.operations.documents import OperationView
from app.gateway.operations.problems import OperationNotFoundError, UnknownBillingPlanError
from app.gateway.operations.statuses import Statuses
from app.gateway.tenants.attempts import Attempt, Attempts
from app.gateway.tenants.problems import StartUncertainError
from app.temporal.errors import OperationExistsError, TemporalUnavailableError
from app.temporal.operations import OperationsPort
from workflows.operations.messages import CancelRequest, OperationContext, TenantCreationInput
from workflows.tenants.steps import TENANT_CREATION, TENANT_CREATION_WORKFLOW

# The caller has waited for Temporal already, and is to have its answer in less than four seconds.
REVOKE_SECONDS = 0.5

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Created:
    """A creation under way; with the password where one was made by this very request."""

    operation: OperationView
    temporary_password: str | None = None

    def __repr__(self) -> str:
        return f"Created(operation={self.operation!r})"


class TenantCreation:
    """Takes tenant requests."""

    def __init__(
        self,
        engine: AsyncEngine,
        operations: OperationsPort,
        statuses: Statuses,
        blueprints: Mapping[str, Blueprint],
        *,
        password_hasher: PasswordHasher,
        audit: AuditTrail,
        fingerprint_key: bytes,
        rate_limits: RateLimits,
    ) -> None:
        self._engine = engine
        self._transactions = Transactions(engine)
        self._operations = operations
        self._statuses = statuses
        self._blueprints = blueprints
        self._password_hasher = password_hasher
        self._audit = audit
        self._attempts = Attempts(engine, fingerprint_key)
        self._rate_limits = rate_limits

    async def create(self, request: TenantRequest, requester: Requester, idempotency_key: str | None) -> Created:
        """Start the creation, or find the one that the caller started with this key before.

        Raises:
            ProblemError: the caller is bound to another tenant, the billing plan is unknown, the tenant id is taken,
                the key was used otherwise, the caller's quota is used up, or nobody can tell whether the creation
                was started.
            TemporalUnavailableError: nothing was started, or what may have been is found by the same key.
            DatabaseUnavailableError: nothing was started.
        """
        if not requester.caller.may_see(request.tenant_id):
            raise OtherTenantIdError(is_denial=True)
        self._refuse_unknown_billing_plan(request)
        attempt = await self._attempts.begin(request, requester, idempotency_key)
        if attempt.may_exist and (known := await self._find_known(attempt)) is not None:
            return Created(known)
        return await self._start(attempt, requester.caller)

    async def wait(self, created: Created, seconds: int) -> Created:
        """The same once the operation has ended, or as it stands after the given time."""
        try:
            operation = await self._statuses.wait(created.operation.workflow_id, seconds)
        except (TemporalUnavailableError, DatabaseUnavailableError):
            # The operation was started: its ids, and its password, must reach the caller.
            return created
        return replace(created, operation=operation)

    def _refuse_unknown_billing_plan(self, request: TenantRequest) -> None:
        blueprint = self._blueprints[request.product_code]
        if request.billing_plan is not None and blueprint.contract_line(request.billing_plan) is None:
            raise UnknownBillingPlanError.among(blueprint.contract_line_names)

    async def _find_known(self, attempt: Attempt) -> OperationView | None:
        """The operation that this request started before; none where nobody has used the attempt's ids yet."""
        # The tenant first: one that an earlier try of this request has made is then found as an operation, too.
        is_taken = attempt.request.tenant_id is not None and await self._tenant_exists(attempt.tenant_id)
        try:
            operation = await self._statuses.find(attempt.workflow_id)
        except OperationNotFoundError:
            if is_taken:
                raise attempt.conflict from None
            return None
        if attempt.may_follow(operation) and not is_taken:
            return None
        if not attempt.started(operation):
            raise attempt.conflict
        return operation

    async def _tenant_exists(self, tenant_id: UUID) -> bool:
        with database_errors():
            async with self._engine.connect() as connection:
                found = await connection.scalar(select(tenants.c.tenant).where(tenants.c.tenant == tenant_id))
        return found is not None

    async def _start(self, attempt: Attempt, caller: Caller) -> Created:
        await self._rate_limits.consume_creation(caller.identity)
        given = attempt.request.admin_user.password
        password = given.get_secret_value() if given is not None else generate_password()
        password_hash = await asyncio.to_thread(self._password_hasher.hash, password)
        message = attempt.request.to_message(
            tenant_id=attempt.tenant_id, password_hash=password_hash, origin=attempt.origin
        )
        try:
            started = await self._operations.start(
                TENANT_CREATION, TENANT_CREATION_WORKFLOW, attempt.workflow_id, message
            )
        except OperationExistsError:
            # Another request with the same ids was quicker.
            await self._rate_limits.refund_creation(caller.identity)
            if (known := await self._find_known(attempt)) is None:
                raise attempt.conflict from None
            return Created(known)
        except TemporalUnavailableError:
            if attempt.is_repeatable or await self._revoke(attempt):
                await self._rate_limits.refund_creation(caller.identity)
                raise
            # It was started, and has been quicker than the news of it.
            operation = await self._statuses.recorded(attempt.workflow_id)
            return Created(operation, temporary_password=password if given is None else None)
        operation = OperationView(
            started.workflow_id, started.run_id, started.snapshot, is_open=True, described=started
        )
        await self._record(attempt, operation, message)
        return Created(operation, temporary_password=password if given is None else None)

    async def _revoke(self, attempt: Attempt) -> bool:
        """Prevent a workflow that may have started from committing, since its caller could not find it again.

        False if it has committed already. Raises `ProblemError` if that can't be told.
        """
        nobody = CancelRequest(reason="its caller was told that it was not started", cancelled_by="gateway")
        try:
            async with asyncio.timeout(REVOKE_SECONDS), self._engine.begin() as connection:
                start_id = attempt.origin.start_id or attempt.workflow_id
                await revoke_start(connection, attempt.workflow_id, start_id, nobody)
                record = await find_operation(connection, attempt.workflow_id)
                return record is None or record.snapshot.committed_at is None
        except DATABASE_ERRORS as error:
            log.warning("a start was not revoked", workflow_id=attempt.workflow_id, error=type(error).__name__)
            raise StartUncertainError(attempt.workflow_id) from None

    async def _record(self, attempt: Attempt, operation: OperationView, message: TenantCreationInput) -> None:
        """Write the operation's row, so that it is listed while no worker runs; the transaction would, too."""
        context = OperationContext(
            workflow_id=attempt.workflow_id,
            run_id=operation.run_id,
            namespace=self._operations.namespace,
            origin=message.origin,
            snapshot=operation.snapshot,
        )
        try:
            async with self._transactions.begin() as opened:
                if await insert_operation(opened.connection, context):
                    await self._audit.append_with_commit(opened, request_event(context))
        except FinalError as error:
            log.warning("the operation's row was refused", workflow_id=attempt.workflow_id, code=error.code)
        except DATABASE_ERRORS as error:
            log.warning(
                "the operation's row was not written", workflow_id=attempt.workflow_id, error=type(error).__name__
            )
