"""Changes of API keys, each in one transaction with its audit event."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.audit.events import Action, Json
from activities.audit.trail import AuditTrail
from app.auth.callers import Requester
from app.auth.keys.api_keys import ApiKeys
from app.auth.keys.format import ApiKey
from app.auth.keys.records import ApiKeyRecord, KeyState, ResealedKeys
from app.auth.keys.signing import ApiKeySigner
from app.auth.scopes import Scope, in_order, scopes_among


class ScopeNotHeldError(Exception):
    """The requester wants to grant or control `scopes` that it does not have."""

    def __init__(self, scopes: tuple[Scope, ...]) -> None:
        super().__init__(", ".join(scopes))
        self.scopes = scopes


class OtherTenantError(Exception):
    """The requester is bound to a tenant, and the key is not bound to that tenant."""


class KeyNotFoundError(Exception):
    """There is no key with this id, which is the text of the error."""


class UnusableKeyError(Exception):
    """The key was revoked, has expired or is forged, so it can't be rotated."""


@dataclass(frozen=True)
class KeyOrder:
    """The properties of a key to be created. By default it never expires and is bound to no tenant."""

    name: str
    scopes: frozenset[Scope]
    tenant_id: UUID | None = None
    expires_in: timedelta | None = None


@dataclass(frozen=True)
class CreatedKey:
    """A new key. `key` is shown to its owner once and stored nowhere."""

    key: str = field(repr=False)
    record: ApiKeyRecord


class KeyManagement:
    """Creates, lists, rotates and revokes keys.

    A requester that is bound to a tenant can only manage that tenant's keys. A requester can't create, rotate or
    revoke a key with scopes that it does not have itself, so that a weak key can't put a stronger one out of service.

    Secrets are hashed before a transaction is opened, so that no connection waits for the hash.
    """

    def __init__(self, engine: AsyncEngine, keys: ApiKeys, audit: AuditTrail) -> None:
        self._engine = engine
        self._audit = audit
        self._table = keys.table
        self._hashes = keys.hashes

    async def create(self, order: KeyOrder, requester: Requester) -> CreatedKey:
        """Create a key; raise `ScopeNotHeldError` or `OtherTenantError`."""
        if not requester.caller.may_see(order.tenant_id):
            raise OtherTenantError
        _check_scopes(requester, order.scopes)
        key, secret_hash = await self._new_secret()
        async with self._engine.begin() as connection:
            columns = {"caller_id": key.key_id, "secret_hash": secret_hash, "created_by": requester.name}
            record = await self._insert(connection, order, key, **columns)
            await self._record(connection, Action.KEY_CREATE, record, requester)
        return CreatedKey(key.text, record)

    async def all(self, requester: Requester) -> list[ApiKeyRecord]:
        """Return all keys, oldest first, including unusable ones."""
        async with self._engine.connect() as connection:
            return await self._table.list(connection, requester.caller.tenant_id)

    async def find(self, key_id: str, requester: Requester) -> ApiKeyRecord:
        """Return the key with this id, usable or not; raise `KeyNotFoundError` or `OtherTenantError`."""
        async with self._engine.connect() as connection:
            return await self._find(connection, key_id, requester)

    async def rotate(
        self, key_id: str, requester: Requester, *, overlap: timedelta, expires_in: timedelta | None
    ) -> CreatedKey:
        """Create a key that replaces another, which still works for the overlap.

        The new key is the same caller if the old one rotates itself or an operator at the shell does it, so that
        repeated requests find what they started with the old key. Otherwise the new key is a caller of its own:
        rotating another's key must not be a way to act as that caller.

        Raises `KeyNotFoundError`, `UnusableKeyError`, `ScopeNotHeldError` or `OtherTenantError`, and then leaves the
        old key unchanged.
        """
        key, secret_hash = await self._new_secret()
        async with self._engine.begin() as connection:
            old = await self._find(connection, key_id, requester, lock=True)
            scopes = scopes_among(old.scopes)
            _check_scopes(requester, scopes)
            now = datetime.now(UTC)
            if old.state(now) is not KeyState.ACTIVE:
                raise UnusableKeyError(key_id)
            await self._table.expire(connection, old, now + overlap)
            caller = requester.caller
            keeps_caller = caller.is_operator or caller.identity == f"key:{old.caller_id}"
            caller_id = old.caller_id if keeps_caller else key.key_id
            columns = {"caller_id": caller_id, "secret_hash": secret_hash, "created_by": requester.name}
            order = KeyOrder(old.name, scopes, old.tenant_id, expires_in)
            record = await self._insert(connection, order, key, **columns)
            seconds = int(overlap.total_seconds())
            await self._record(
                connection, Action.KEY_ROTATE, record, requester, replaces=key_id, overlapSeconds=seconds
            )
        return CreatedKey(key.text, record)

    async def revoke(self, key_id: str, requester: Requester) -> ApiKeyRecord:
        """Revoke a key, forged or not, even if it is revoked already.

        Raises `KeyNotFoundError`, `ScopeNotHeldError` or `OtherTenantError`.
        """
        async with self._engine.begin() as connection:
            old = await self._find(connection, key_id, requester, lock=True)
            _check_scopes(requester, scopes_among(old.scopes))
            record = await self._table.revoke(connection, old)
            forgery: dict[str, Json] = {} if old.is_genuine else {"wasForged": True}
            await self._record(connection, Action.KEY_REVOKE, record, requester, **forgery)
        return record

    async def reseal(self, old: ApiKeySigner, requester: Requester) -> ResealedKeys:
        """Renew the MACs of all keys that the old signer verifies, after the secret was changed."""
        async with self._engine.begin() as connection:
            resealed = await self._table.reseal(connection, old)
            details: dict[str, Json] = {
                "resealed": list(resealed.resealed),
                "current": len(resealed.current),
                "forged": list(resealed.forged),
            }
            await self._audit.append(connection, requester.audit_event(Action.KEY_RESEAL, details=details))
        return resealed

    async def _new_secret(self) -> tuple[ApiKey, str]:
        key = ApiKey.generate()
        return key, await self._hashes.hash(key.secret)

    async def _insert(
        self, connection: AsyncConnection, order: KeyOrder, key: ApiKey, **columns: str
    ) -> ApiKeyRecord:
        now = datetime.now(UTC)
        row = {
            **columns,
            "key_id": key.key_id,
            "name": order.name,
            "scopes": " ".join(in_order(order.scopes)),
            "tenant_id": order.tenant_id,
            "created_at": now,
            "expires_at": now + order.expires_in if order.expires_in is not None else None,
            "revoked_at": None,
        }
        return await self._table.insert(connection, row)

    async def _find(
        self, connection: AsyncConnection, key_id: str, requester: Requester, *, lock: bool = False
    ) -> ApiKeyRecord:
        tenant_id = requester.caller.tenant_id
        found = await self._table.find(connection, key_id, tenant_id=tenant_id, lock=lock)
        if found is None:
            # This runs for unknown ids, too, so that both cases take the same time.
            is_other_tenants = tenant_id is not None and await self._table.exists(connection, key_id)
            raise OtherTenantError if is_other_tenants else KeyNotFoundError(key_id)
        return found

    async def _record(
        self, connection: AsyncConnection, action: Action, key: ApiKeyRecord, requester: Requester, **details: Json
    ) -> None:
        details = {"name": key.name, "scopes": list(key.scopes), **details}
        event = requester.audit_event(action, tenant_id=key.tenant_id, subject=key.key_id, details=details)
        await self._audit.append(connection, event)


def _check_scopes(requester: Requester, scopes: frozenset[Scope]) -> None:
    if missing := in_order(scopes - requester.caller.scopes):
        raise ScopeNotHeldError(missing)
