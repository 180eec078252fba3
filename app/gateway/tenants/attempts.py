"""Gives a tenant request its ids, the same ones for every request with one Idempotency-Key."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.tenants.request import TenantRequest
from app.auth.callers import Requester
from app.database import database_errors
from app.gateway.http.problems.problem import ProblemError
from app.gateway.operations.documents import OperationView
from app.gateway.operations.problems import TenantExistsError
from app.gateway.tenants.idempotency import Claim, claim_key
from app.gateway.tenants.problems import IdempotencyKeyReusedError
from workflows.operations.messages import OperationStatus, Origin
from workflows.tenants.steps import TENANT_CREATION


@dataclass(frozen=True)
class Attempt:
    """A request with the ids that its operation is to have.

    `is_repeatable` says that the same request finds the operation again: by its Idempotency-Key, or by its tenant id.
    `is_replay` says that its key was used before, `may_exist` that an earlier request may have used the ids.
    """

    request: TenantRequest
    tenant_id: UUID
    origin: Origin
    is_repeatable: bool
    is_replay: bool
    may_exist: bool

    @property
    def workflow_id(self) -> str:
        """The id of the workflow that creates the tenant."""
        return TENANT_CREATION.workflow_id(self.tenant_id)

    def started(self, operation: OperationView) -> bool:
        """Whether the operation was started by this very request, sent before."""
        return self.is_repeatable and operation.snapshot.request_fingerprint == self.origin.request_fingerprint

    def may_follow(self, operation: OperationView) -> bool:
        """Whether the operation has freed its tenant id for this request: nothing came of it."""
        nothing_made = {OperationStatus.FAILED, OperationStatus.CANCELLED}
        return not self.is_replay and operation.snapshot.status in nothing_made

    @property
    def conflict(self) -> ProblemError:
        """What to answer where the ids belong to somebody else's operation or tenant."""
        if self.request.tenant_id is None:
            return IdempotencyKeyReusedError()
        return TenantExistsError()


class Attempts:
    """Makes attempts of requests; `key` keys the fingerprints of requests and the derived tenant ids."""

    def __init__(self, engine: AsyncEngine, key: bytes) -> None:
        self._engine = engine
        self._key = key

    async def begin(self, request: TenantRequest, requester: Requester, key: str | None) -> Attempt:
        """Fix the request's ids, and bind the Idempotency-Key to it where there is one.

        Raises:
            ProblemError: the key was used for another request.
            DatabaseUnavailableError: nothing was bound.
        """
        caller = requester.caller
        fingerprint = self._fingerprint(request, requester)
        origin = requester.origin(fingerprint).model_copy(update={"start_id": str(uuid4())})
        is_given = request.tenant_id is not None
        if key is None:
            tenant_id = request.tenant_id or uuid4()
            return Attempt(request, tenant_id, origin, is_repeatable=is_given, is_replay=False, may_exist=is_given)
        tenant_id = request.tenant_id or self._keyed_tenant_id(caller.identity, key)
        claim, is_new = await self._claim(
            Claim(
                caller=caller.identity,
                key_digest=hashlib.sha256(key.encode()).hexdigest(),
                request_fingerprint=fingerprint,
                workflow_id=TENANT_CREATION.workflow_id(tenant_id),
                tenant_id=tenant_id,
            )
        )
        if claim.request_fingerprint != fingerprint:
            raise IdempotencyKeyReusedError
        return Attempt(
            request,
            claim.tenant_id,
            origin,
            is_repeatable=True,
            is_replay=not is_new,
            may_exist=is_given or not is_new,
        )

    def _keyed_tenant_id(self, identity: str, key: str) -> UUID:
        """Derive the tenant id of a caller's Idempotency-Key, keyed so that other callers can't predict it."""
        digest = hmac.digest(self._key, f"tenant id\n{identity}\n{key}".encode(), "sha256")
        return UUID(bytes=digest[:16], version=4)

    async def _claim(self, wanted: Claim) -> tuple[Claim, bool]:
        with database_errors():
            async with self._engine.begin() as connection:
                return await claim_key(connection, wanted)

    def _fingerprint(self, request: TenantRequest, requester: Requester) -> str:
        """Tells requests apart, by their passwords too, and tells nothing about them without the key."""
        document = request.model_dump(mode="json")
        password = request.admin_user.password
        document["admin_user"]["password"] = password.get_secret_value() if password is not None else None
        parts = {"caller": requester.caller.identity, "request": document}
        if requester.on_behalf_of is not None:
            parts["on_behalf_of"] = requester.on_behalf_of
        canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        return hmac.new(self._key, canonical.encode(), hashlib.sha256).hexdigest()
