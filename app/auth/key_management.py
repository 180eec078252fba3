"""What people do with API keys, each in one transaction with its audit event."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.api_keys import ApiKeyRecord
from activities.audit import AuditTrail
from activities.audit_events import Action, Json
from app.audit_trail import requested
from app.auth.api_keys import ApiKeys, CreatedKey, KeyOrder
from app.auth.callers import Requester
from app.auth.scopes import Scope, in_order, scopes_among


class ScopeNotHeldError(Exception):
    """Somebody wants to give, or to take over, scopes that it does not have; `scopes` are those."""

    def __init__(self, scopes: tuple[Scope, ...]) -> None:
        super().__init__(", ".join(scopes))
        self.scopes = scopes


class OtherTenantError(Exception):
    """Somebody who is bound to a tenant wants a key that is not bound to that one."""


class KeyManagement:
    """Makes, lists, rotates and revokes keys.

    A requester who is bound to a tenant deals with that tenant's keys alone, and nobody gives scopes that it does
    not have itself: neither a new key nor a rotated one can do more than the key that asked for it.
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
        async with self._engine.begin() as connection:
            created = await self._keys.create(connection, replace(order, created_by=requester.name))
            await self._tell(connection, Action.KEY_CREATE, created.record, requester)
            return created

    async def all(self, requester: Requester) -> list[ApiKeyRecord]:
        """Every key, oldest first, revoked and expired ones too."""
        async with self._engine.connect() as connection:
            return await self._keys.all(connection, requester.caller.tenant_id)

    async def find(self, key_id: str, requester: Requester) -> ApiKeyRecord | None:
        """The key of that id, usable or not."""
        async with self._engine.connect() as connection:
            return await self._keys.find(connection, key_id, requester.caller.tenant_id)

    async def rotate(
        self, key_id: str, requester: Requester, *, overlap: timedelta, expires_in: timedelta | None
    ) -> CreatedKey | None:
        """Make a key in another's place, which works for the overlap still; none where there is no such key.

        Raises `UnusableKeyError` and `ScopeNotHeldError`, after which the old key is as it was.
        """
        async with self._engine.begin() as connection:
            created = await self._keys.rotate(
                connection,
                key_id,
                overlap=overlap,
                expires_in=expires_in,
                tenant_id=requester.caller.tenant_id,
                created_by=requester.name,
            )
            if created is not None:
                _refuse_more_than(requester, scopes_among(created.record.scopes))
                replaced: Mapping[str, Json] = {"replaces": key_id, "overlapSeconds": int(overlap.total_seconds())}
                await self._tell(connection, Action.KEY_ROTATE, created.record, requester, replaced)
            return created

    async def revoke(self, key_id: str, requester: Requester) -> ApiKeyRecord | None:
        """Revoke a key, again or for the first time; none where there is no such key."""
        async with self._engine.begin() as connection:
            record = await self._keys.revoke(connection, key_id, requester.caller.tenant_id)
            if record is not None:
                await self._tell(connection, Action.KEY_REVOKE, record, requester)
            return record

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
