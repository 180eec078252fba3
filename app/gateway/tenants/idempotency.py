"""Makes requests for tenants idempotent: equal requests with the same Idempotency-Key get the same ids."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.own_tables import idempotency_keys
from activities.tenants.request import TenantRequest
from app.auth.callers import Requester
from app.database import database_errors
from app.gateway.http.problems.problem import ProblemError
from app.gateway.operations.problems import TenantExistsError
from app.gateway.tenants.problems import IdempotencyKeyReusedError
from workflows.operations.messages import Origin
from workflows.tenants.steps import TENANT_CREATION


@dataclass(frozen=True)
class CreationRequest:
    """A request for a tenant with the ids that its operation will have.

    A replay is a request whose Idempotency-Key was used before.
    """

    request: TenantRequest
    tenant_id: UUID
    origin: Origin
    has_key: bool = False
    is_replay: bool = False

    @property
    def workflow_id(self) -> str:
        """The id of the workflow that creates the tenant."""
        return TENANT_CREATION.workflow_id(self.tenant_id)

    @property
    def is_repeatable(self) -> bool:
        """Whether the same request finds its operation again, by its Idempotency-Key or its tenant id."""
        return self.has_key or self.request.tenant_id is not None

    @property
    def conflict(self) -> ProblemError:
        """The problem if the ids belong to another operation or tenant."""
        return IdempotencyKeyReusedError() if self.request.tenant_id is None else TenantExistsError.of_request()


class IdempotentRequests:
    """Gives requests their ids; `secret` is the key of their fingerprints and of derived tenant ids."""

    def __init__(self, engine: AsyncEngine, secret: bytes) -> None:
        self._engine = engine
        self._secret = secret

    async def prepare(self, request: TenantRequest, requester: Requester, key: str | None) -> CreationRequest:
        """Choose the ids of a request, and bind its Idempotency-Key to them.

        Raises:
            IdempotencyKeyReusedError: the key was used for another request.
            DatabaseUnavailableError: the key was not bound.
        """
        fingerprint = self._fingerprint(request, requester)
        origin = requester.origin(fingerprint).model_copy(update={"start_id": str(uuid4())})
        if key is None:
            return CreationRequest(request, request.tenant_id or uuid4(), origin)
        caller = requester.caller.identity
        tenant_id = request.tenant_id or self._derived_tenant_id(caller, key)
        bound_fingerprint, bound_tenant_id, is_new = await self._bind(caller, key, fingerprint, tenant_id)
        if bound_fingerprint != fingerprint:
            raise IdempotencyKeyReusedError
        return CreationRequest(request, bound_tenant_id, origin, has_key=True, is_replay=not is_new)

    async def _bind(self, caller: str, key: str, fingerprint: str, tenant_id: UUID) -> tuple[str, UUID, bool]:
        """Bind the key unless it is bound; return the bound fingerprint and tenant id, and whether they are new.

        Of concurrent requests with one key, one binds it, and the others wait for its commit.
        """
        columns = idempotency_keys.c
        key_digest = hashlib.sha256(key.encode()).hexdigest()
        insert = postgres_insert(idempotency_keys).on_conflict_do_nothing()
        values = {
            "caller": caller,
            "key_digest": key_digest,
            "request_fingerprint": fingerprint,
            "workflow_id": TENANT_CREATION.workflow_id(tenant_id),
            "tenant_id": tenant_id,
        }
        bound = select(columns.request_fingerprint, columns.tenant_id).where(
            columns.caller == caller, columns.key_digest == key_digest
        )
        with database_errors():
            async with self._engine.begin() as connection:
                inserted = await connection.execute(insert, values)
                row = (await connection.execute(bound)).one()
        return row.request_fingerprint, row.tenant_id, inserted.rowcount == 1

    def _derived_tenant_id(self, caller: str, key: str) -> UUID:
        """Derive the tenant id from the caller's key, so that other callers can't predict it."""
        digest = hmac.digest(self._secret, f"tenant id\n{caller}\n{key}".encode(), "sha256")
        return UUID(bytes=digest[:16], version=4)

    def _fingerprint(self, request: TenantRequest, requester: Requester) -> str:
        """Return a keyed digest of the whole request, its password included."""
        document = request.model_dump(mode="json")
        password = request.admin_user.password
        document["admin_user"]["password"] = password.get_secret_value() if password is not None else None
        parts = {"caller": requester.caller.identity, "request": document}
        if requester.on_behalf_of is not None:
            parts["on_behalf_of"] = requester.on_behalf_of
        canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        return hmac.digest(self._secret, canonical.encode(), "sha256").hex()
