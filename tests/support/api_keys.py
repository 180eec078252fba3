"""API keys for tests, created as the command creates them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.trail import AuditTrail
from app.audit.recorder import audit_trail
from app.auth.callers import Caller, operator
from app.auth.keys.api_keys import ApiKeys
from app.auth.keys.management import CreatedKey, KeyManagement, KeyOrder
from app.auth.keys.records import ApiKeyRecord
from app.auth.keys.signing import api_key_signer
from app.auth.scopes import Scope
from app.database import gateway_engine
from app.settings import Settings

EVERYTHING = frozenset(Scope)


class Keys:
    """The API keys of one database."""

    def __init__(self, engine: AsyncEngine, keys: ApiKeys, audit: AuditTrail) -> None:
        self.engine = engine
        self.api_keys = keys
        self._management = KeyManagement(engine, keys, audit)

    async def create(
        self,
        name: str = "tests",
        *,
        scopes: frozenset[Scope] = EVERYTHING,
        tenant_id: UUID | None = None,
        expires_in: timedelta | None = None,
    ) -> CreatedKey:
        order = KeyOrder(name, scopes, tenant_id, expires_in)
        return await self._management.create(order, operator())

    async def rotate(self, key_id: str, overlap: timedelta) -> CreatedKey:
        return await self._management.rotate(key_id, operator(), overlap=overlap, expires_in=None)

    async def revoke(self, key_id: str) -> ApiKeyRecord:
        return await self._management.revoke(key_id, operator())

    async def find(self, key_id: str) -> ApiKeyRecord:
        return await self._management.find(key_id, operator())

    async def verify(self, text: str) -> Caller | None:
        verified = await self.api_keys.verify(text)
        return verified.caller if verified is not None else None


@asynccontextmanager
async def open_keys(settings: Settings) -> AsyncIterator[Keys]:
    engine = gateway_engine(settings)
    keys = ApiKeys(engine, api_key_signer(settings))
    try:
        yield Keys(engine, keys, audit_trail(settings))
    finally:
        keys.close()
        await engine.dispose()
