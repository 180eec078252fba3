"""What people do with API keys, each in one transaction with its audit event."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.audit.events import Action, Json
from activities.audit.trail import AuditTrail
from app.auth.callers import Requester, requested
from app.auth.keys.api_keys import ApiKeys, CreatedKey, KeyOrder
from app.auth.keys.records import ApiKeyRecord, ApiKeySigner, ResealedKeys
from app.auth.scopes import Scope, in_order, scopes_among


class ScopeNotHeldError(Exception):
    """Somebody wants to give, or to take over, scopes that it does not have; `scopes` are those."""

    def __init__(self, scopes: tuple[Scope, ...]) -> None:
        super().__init__(", ".join(scopes))
        self.scopes = scopes


class OtherTenantError(Exception):
    """A requester that is bound to a tenant reaches for a key that is not bound to that one."""


class KeyManagement:
    """Makes, lists, rotates and revokes keys.

    A requester that is bound to a tenant deals with that tenant's keys alone. Nobody gives, takes over or revokes
    scopes that it does not have itself: neither a new key nor a rotated one can do more than the key that asked for
    it, and a weak key can't put a stronger one out of service.

    Secrets are hashed before a transaction is opened, so that no connection waits for that.
    """

    def __init__(self, engine: AsyncEngine, keys: ApiKeys, audit: AuditTrail) -> None:
        self._engine = engine
        self._audit = audit
        self._keys = keys

    async def create(self, order: KeyOrder, requester: Requester) -> CreatedKey:
        """Make a key; raises `ScopeNotHeldError` and `OtherTenantError`."""
        if not requester.caller.may_see(order.tenant_id):
            raise OtherTenantError
        _refuse_more_than(requester, order.scopes)
        secret = await self._keys.new_secret()
        async with self._engine.begin() as connection:
            created = await self._keys.create(connection, replace(order, created_by=requester.name), secret)
            await self._tell(connection, Action.KEY_CREATE, created.record, requester)
            return created

    async def all(self, requester: Requester) -> list[ApiKeyRecord]:
        """Return every key, oldest first, unusable ones too."""
        async with self._engine.connect() as connection:
            return await self._keys.all(connection, requester.caller.tenant_id)

    async def find(self, key_id: str, requester: Requester) -> ApiKeyRecord | None:
        """Return the key of that id, usable or not; raises `OtherTenantError`."""
        async with self._engine.connect() as connection:
            return await self._find(connection, key_id, requester)

    async def rotate(
        self, key_id: str, requester: Requester, *, overlap: timedelta, expires_in: timedelta | None
    ) -> CreatedKey | None:
        """Make a key in another's place, which works for the overlap still; None if there is no such key.

        The new key is the same caller if the old one rotates itself or an operator at the shell does it. Otherwise
        it is a caller of its own: rotating another's key must not be a way to act as that caller.

        Raises `UnusableKeyError`, `ScopeNotHeldError` and `OtherTenantError`, after which the old key is as it was.
        """
        secret = await self._keys.new_secret()
        async with self._engine.begin() as connection:
            old = await self._find(connection, key_id, requester, lock=True)
            if old is None:
                return None
            _refuse_more_than(requester, scopes_among(old.scopes))
            created = await self._keys.rotate(
                connection,
                old,
                secret,
                overlap=overlap,
                expires_in=expires_in,
                created_by=requester.name,
                keeps_caller=requester.caller.is_operator or requester.caller.identity == f"key:{old.caller_id}",
            )
            replaced: Mapping[str, Json] = {"replaces": key_id, "overlapSeconds": int(overlap.total_seconds())}
            await self._tell(connection, Action.KEY_ROTATE, created.record, requester, replaced)
            return created

    async def revoke(self, key_id: str, requester: Requester) -> ApiKeyRecord | None:
        """Revoke a key, forged or not, again or for the first time; None if there is no such key.

        Raises `ScopeNotHeldError` and `OtherTenantError`.
        """
        async with self._engine.begin() as connection:
            old = await self._find(connection, key_id, requester, lock=True)
            if old is None:
                return None
            _refuse_more_than(requester, scopes_among(old.scopes))
            record = await self._keys.revoke(connection, key_id)
            forgery: Mapping[str, Json] | None = None if old.is_genuine else {"wasForged": True}
            await self._tell(connection, Action.KEY_REVOKE, record, requester, forgery)
            return record

    async def reseal(self, old: ApiKeySigner, requester: Requester) -> ResealedKeys:
        """Renew the MACs of all keys that verify under an old secret's key, after the secret was changed."""
        async with self._engine.begin() as connection:
            resealed = await self._keys.reseal(connection, old)
            details: Mapping[str, Json] = {
                "resealed": list(resealed.resealed),
                "current": len(resealed.current),
                "forged": list(resealed.forged),
            }
            await self._audit.append(connection, requested(Action.KEY_RESEAL, requester, details=details))
            return resealed

    async def _find(
        self, connection: AsyncConnection, key_id: str, requester: Requester, *, lock: bool = False
    ) -> ApiKeyRecord | None:
        """Find a key by its id and, for a bound requester, by its tenant; raises `OtherTenantError`."""
        tenant_id = requester.caller.tenant_id
        found = await self._keys.find(connection, key_id, tenant_id, lock=lock)
        # Asked for unknown ids, too: both cases take the same time.
        if found is None and tenant_id is not None and await self._keys.exists(connection, key_id):
            raise OtherTenantError
        return found

    async def _tell(
        self,
        connection: AsyncConnection,
        action: Action,
        key: ApiKeyRecord,
        requester: Requester,
        details: Mapping[str, Json] | None = None,
    ) -> None:
        await self._audit.append(
            connection,
            requested(
                action,
                requester,
                tenant_id=key.tenant_id,
                subject=key.key_id,
                details={"name": key.name, "scopes": list(key.scopes), **(details or {})},
            ),
        )


def _refuse_more_than(requester: Requester, scopes: frozenset[Scope]) -> None:
    if missing := in_order(scopes - requester.caller.scopes):
        raise ScopeNotHeldError(missing)
