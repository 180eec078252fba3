"""Starts creations of tenants, one for each Idempotency-Key."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.passwords import PasswordHasher, generate_password
from activities.alga.tables import tenants
from activities.customers.portal_user import check_portal_user
from activities.database.errors import DATABASE_ERRORS
from activities.operations.queries import find_operation
from activities.operations.rows import revoke_start
from activities.tenants.billing import check_billing_links
from activities.tenants.request import TenantRequest
from app.auth.callers import Caller, Requester
from app.database import database_errors
from app.gateway.access.problems import OtherTenantIdError
from app.gateway.access.rate_limits import RateLimits
from app.gateway.operations.documents import OperationView
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.problems import OperationNotFoundError
from app.gateway.operations.starting import OperationStarts
from app.gateway.tenants.idempotency import CreationRequest, IdempotentRequests
from app.gateway.tenants.problems import StartUncertainError
from app.temporal.errors import OperationExistsError, TemporalUnavailableError
from app.temporal.operations import TemporalOperations
from workflows.operations.messages import Cancellation
from workflows.tenants.steps import TENANT_CREATION, TENANT_CREATION_WORKFLOW

# The caller has already waited for Temporal, and gets a response within four seconds in all.
REVOKE_SECONDS = 0.5

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class StartedCreation:
    """An operation, with the password if this request generated one."""

    operation: OperationView
    temporary_password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, repr=False)
class TenantCreation:
    """Starts creations of tenants."""

    engine: AsyncEngine
    operations: TemporalOperations
    lookup: OperationLookup
    blueprints: Mapping[str, Blueprint]
    requests: IdempotentRequests
    password_hasher: PasswordHasher
    starts: OperationStarts
    rate_limits: RateLimits
    management_tenant: UUID | None

    async def create(
        self, request: TenantRequest, requester: Requester, idempotency_key: str | None
    ) -> StartedCreation:
        """Start the creation, or return the one that an equal request with the same ids started.

        Raises:
            ProblemError: the caller is bound to another tenant, the tenant id is taken, the key was used for another
                request, the caller's quota is used up, or it is unknown whether the creation was started.
            FinalError: the billing plan is unknown, a field for Stripe or Apple lacks another one, or no portal user
                can be made.
            TemporalUnavailableError: nothing was started, or the same request finds what may have been started.
            DatabaseUnavailableError: nothing was started.
        """
        if not requester.caller.may_see(request.tenant_id):
            raise OtherTenantIdError(is_denial=True)
        check_billing_links(request)
        # Only the worker knows whether its mails have links.
        check_portal_user(request, self.management_tenant, mails_have_links=True)
        self.blueprints[request.product_code].check_billing_plan(request.billing_plan)
        wanted = await self.requests.prepare(request, requester, idempotency_key)
        if (wanted.is_replay or request.tenant_id is not None) and (
            known := await self._find_known(wanted)
        ) is not None:
            return StartedCreation(known)
        return await self._start(wanted, requester.caller)

    async def wait(self, creation: StartedCreation, seconds: int) -> StartedCreation:
        """Return the creation once its operation has ended, or as it is after the given time."""
        # If it can't be read, its ids and its password must reach the caller.
        return replace(creation, operation=await self.lookup.wait_if_possible(creation.operation, seconds))

    async def _find_known(self, wanted: CreationRequest) -> OperationView | None:
        """Return the operation that an equal request started, or None if the ids are free; raise their conflict."""
        # The tenant is looked up first: if an earlier attempt created it, its operation is then found as well.
        is_taken = wanted.request.tenant_id is not None and await self._tenant_exists(wanted.tenant_id)
        try:
            operation = await self.lookup.find(wanted.workflow_id)
        except OperationNotFoundError:
            if is_taken:
                raise wanted.conflict from None
            return None
        if operation.snapshot.status.is_unsuccessful and not is_taken and not wanted.is_replay:
            return None
        is_equal = operation.snapshot.request_fingerprint == wanted.origin.request_fingerprint
        if not (is_equal and wanted.is_repeatable):
            raise wanted.conflict
        return operation

    async def _tenant_exists(self, tenant_id: UUID) -> bool:
        with database_errors():
            async with self.engine.connect() as connection:
                found = await connection.scalar(select(tenants.c.tenant).where(tenants.c.tenant == tenant_id))
        return found is not None

    async def _start(self, wanted: CreationRequest, caller: Caller) -> StartedCreation:
        await self.rate_limits.consume_creation(caller.identity)
        given = wanted.request.admin_user.password
        password = given.get_secret_value() if given is not None else generate_password()
        temporary_password = password if given is None else None
        password_hash = await asyncio.to_thread(self.password_hasher.hash, password)
        message = wanted.request.to_message(
            tenant_id=wanted.tenant_id, password_hash=password_hash, origin=wanted.origin
        )
        try:
            started = await self.operations.start(
                TENANT_CREATION, TENANT_CREATION_WORKFLOW, wanted.workflow_id, message
            )
        except OperationExistsError:
            # A concurrent request used the same ids.
            await self.rate_limits.refund_creation(caller.identity)
            if (known := await self._find_known(wanted)) is None:
                raise wanted.conflict from None
            return StartedCreation(known)
        except TemporalUnavailableError:
            if wanted.is_repeatable or await self._revoke(wanted):
                await self.rate_limits.refund_creation(caller.identity)
                raise
            # It started, and committed before Temporal responded.
            return StartedCreation(await self.lookup.find_row(wanted.workflow_id), temporary_password)
        operation = OperationView.of_temporal(started)
        await self.starts.record(operation, wanted.origin)
        return StartedCreation(operation, temporary_password)

    async def _revoke(self, wanted: CreationRequest) -> bool:
        """Prevent a workflow that may have started from committing, because its caller could not find it again.

        Returns False if it has committed already. Raises `StartUncertainError` if the database is unavailable.
        """
        workflow_id = wanted.workflow_id
        cancellation = Cancellation(reason="the caller received an error from Temporal", by="gateway")
        try:
            async with asyncio.timeout(REVOKE_SECONDS), self.engine.begin() as connection:
                await revoke_start(connection, workflow_id, wanted.origin.start_id or workflow_id, cancellation)
                record = await find_operation(connection, workflow_id)
                return record is None or record.snapshot.committed_at is None
        except DATABASE_ERRORS as error:
            log.warning("a start was not revoked", workflow_id=workflow_id, error=type(error).__name__)
            raise StartUncertainError(workflow_id) from None
