"""Starts the creation of a tenant, once for each Idempotency-Key."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4, uuid5

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.blueprints import Blueprint
from activities.alga.passwords import PasswordHasher, generate_password
from activities.alga.tables import tenants
from activities.idempotency import Claim, claim_key
from activities.operations import record_operation
from activities.tenant_request import TenantRequest
from app.auth.callers import Caller
from app.gateway.database import database_errors
from app.gateway.documents import OperationView
from app.gateway.problems import ProblemError, field_problem
from app.gateway.statuses import Statuses
from app.temporal.operations import (
    DescribedOperation,
    OperationExistsError,
    OperationsPort,
    TemporalUnavailableError,
    workflow_id_of,
)
from workflows.messages import OperationContext, Origin, TenantCreationInput
from workflows.steps import Step

KEYED_TENANTS = UUID("6f2f7c3e-52a8-4d5b-9a53-1b0c7d6f4e21")
"""Namespace of the tenant ids that are made from a caller and its Idempotency-Key."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Created:
    """A creation under way; with the password where one was made by this very request."""

    operation: OperationView
    temporary_password: str | None = None

    def __repr__(self) -> str:
        return f"Created(operation={self.operation!r})"


@dataclass(frozen=True)
class Attempt:
    """A request with the ids that it is to have.

    `is_keyed` says that it came with an Idempotency-Key, `may_exist` that an earlier request may have had its ids.
    """

    request: TenantRequest
    tenant_id: UUID
    origin: Origin
    is_keyed: bool
    may_exist: bool

    @property
    def workflow_id(self) -> str:
        """The id of the workflow that creates the tenant."""
        return workflow_id_of(self.tenant_id)


class TenantCreation:
    """Takes tenant requests."""

    def __init__(
        self,
        engine: AsyncEngine,
        operations: OperationsPort,
        statuses: Statuses,
        blueprints: Mapping[str, Blueprint],
        password_hasher: PasswordHasher,
    ) -> None:
        self._engine = engine
        self._operations = operations
        self._statuses = statuses
        self._blueprints = blueprints
        self._password_hasher = password_hasher

    async def create(self, request: TenantRequest, caller: Caller, idempotency_key: str | None) -> Created:
        """Start the creation, or find the one that the caller started with this key before.

        Raises:
            ProblemError: the billing plan is unknown, the tenant id is taken, or the key was used otherwise.
            TemporalUnavailableError: it is not certain that the creation was started.
            DatabaseUnavailableError: nothing was started.
        """
        self._refuse_unknown_billing_plan(request)
        attempt = await self._attempt(request, caller, idempotency_key)
        if attempt.may_exist and (known := await self._find_known(attempt)) is not None:
            return Created(known)
        return await self._start(attempt)

    def _refuse_unknown_billing_plan(self, request: TenantRequest) -> None:
        blueprint = self._blueprints[request.product_code]
        if request.billing_plan is not None and blueprint.contract_line(request.billing_plan) is None:
            known = ", ".join(blueprint.contract_line_names) or "none"
            raise field_problem(422, "unknown-billing-plan", "billingPlan", f"is not one of: {known}")

    async def _attempt(self, request: TenantRequest, caller: Caller, idempotency_key: str | None) -> Attempt:
        fingerprint = self._fingerprint(request, caller, idempotency_key)
        origin = Origin(requested_by=caller.identity, request_fingerprint=fingerprint)
        if idempotency_key is None:
            return Attempt(
                request,
                tenant_id=request.tenant_id or uuid4(),
                origin=origin,
                is_keyed=False,
                may_exist=request.tenant_id is not None,
            )
        tenant_id = request.tenant_id or uuid5(KEYED_TENANTS, f"{caller.identity} {idempotency_key}")
        is_new = await self._claim(caller, idempotency_key, fingerprint, tenant_id)
        return Attempt(
            request,
            tenant_id=tenant_id,
            origin=origin,
            is_keyed=True,
            may_exist=not is_new or request.tenant_id is not None,
        )

    async def _claim(self, caller: Caller, key: str, fingerprint: str, tenant_id: UUID) -> bool:
        """Bind the key to the request; returns whether it was free, and refuses a key bound to another one."""
        wanted = Claim(
            caller=caller.identity,
            key_digest=hashlib.sha256(key.encode()).hexdigest(),
            request_fingerprint=fingerprint,
            workflow_id=workflow_id_of(tenant_id),
            tenant_id=tenant_id,
        )
        with database_errors():
            async with self._engine.begin() as connection:
                claim, is_new = await claim_key(connection, wanted)
        if claim.request_fingerprint != fingerprint:
            raise _key_reused()
        return is_new

    async def _find_known(self, attempt: Attempt) -> OperationView | None:
        """The operation of an earlier request with this key; none where nobody has had the attempt's ids yet."""
        # The tenant first: what our own earlier request has made is then found as an operation, too.
        is_taken = attempt.request.tenant_id is not None and await self._tenant_exists(attempt.tenant_id)
        try:
            operation = await self._statuses.find(attempt.workflow_id)
        except ProblemError:
            if is_taken:
                raise _tenant_exists() from None
            return None
        return _repeated(attempt, operation)

    async def _tenant_exists(self, tenant_id: UUID) -> bool:
        with database_errors():
            async with self._engine.connect() as connection:
                found = await connection.scalar(select(tenants.c.tenant).where(tenants.c.tenant == tenant_id))
        return found is not None

    async def _start(self, attempt: Attempt) -> Created:
        given = attempt.request.admin_user.password
        password = given.get_secret_value() if given is not None else generate_password()
        password_hash = await asyncio.to_thread(self._password_hasher.hash, password)
        message = attempt.request.to_message(
            tenant_id=attempt.tenant_id, password_hash=password_hash, origin=attempt.origin
        )
        try:
            started = await self._operations.start(message)
        except OperationExistsError:
            # Another request with the same ids was quicker.
            return Created(_repeated(attempt, await self._statuses.find(attempt.workflow_id)))
        operation = await self._describe(started)
        await self._record(operation, started.run_id, message)
        return Created(operation, temporary_password=password if given is None else None)

    async def _describe(self, started: DescribedOperation) -> OperationView:
        try:
            return await self._statuses.find(started.workflow_id)
        except TemporalUnavailableError:
            now = datetime.now(UTC)
            snapshot = started.snapshot.model_copy(update={"started_at": now, "updated_at": now})
            return OperationView(started.workflow_id, snapshot, is_open=True, described=started)

    async def _record(self, operation: OperationView, run_id: str, message: TenantCreationInput) -> None:
        """Write the operation's row, so that it is listed while no worker runs; the first step writes it too."""
        context = OperationContext(
            workflow_id=operation.workflow_id,
            run_id=run_id,
            tenant_id=message.tenant_id,
            kind=operation.snapshot.kind,
            step=Step.INITIALIZING,
            progress=0,
            steps=operation.snapshot.steps,
            started_at=operation.snapshot.started_at,
        )
        try:
            async with self._engine.begin() as connection:
                await record_operation(connection, context, message)
        except (SQLAlchemyError, OSError) as error:
            log.warning(
                "the operation's row was not written", workflow_id=operation.workflow_id, error=type(error).__name__
            )

    def _fingerprint(self, request: TenantRequest, caller: Caller, idempotency_key: str | None) -> str:
        """Tells requests apart, the password included, without telling anything about them."""
        document = request.model_dump(mode="json")
        password = request.admin_user.password
        document["admin_user"]["password"] = password.get_secret_value() if password is not None else None
        canonical = json.dumps(
            {"caller": caller.identity, "key": idempotency_key, "request": document},
            sort_keys=True,
            separators=(",", ":"),
        )
        secret = self._password_hasher.secret.encode()
        return hmac.new(secret, canonical.encode(), hashlib.sha256).hexdigest()


def _repeated(attempt: Attempt, operation: OperationView) -> OperationView:
    """The operation, provided that the same request with the same key started it."""
    if attempt.is_keyed and operation.snapshot.request_fingerprint == attempt.origin.request_fingerprint:
        return operation
    raise _key_reused() if attempt.request.tenant_id is None else _tenant_exists()


def _tenant_exists() -> ProblemError:
    return field_problem(409, "tenant-exists", "tenantId", "is taken; leave it out to get a new one")


def _key_reused() -> ProblemError:
    return ProblemError(
        422,
        "idempotency-key-reused",
        "this Idempotency-Key was used for another request; send the same body again, or use a new key",
    )
