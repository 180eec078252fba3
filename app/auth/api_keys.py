"""API keys: making, listing, rotating, revoking and verifying them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.api_keys import (
    ApiKeyRecord,
    KeyState,
    NewApiKey,
    expire_api_key,
    find_api_key,
    insert_api_key,
    list_api_keys,
    note_use,
    revoke_api_key,
)
from activities.database_errors import DATABASE_ERRORS
from app.auth.callers import Caller
from app.auth.key_format import ApiKey
from app.auth.scopes import Scope, in_order, scopes_among
from app.auth.secret_hashes import SecretHashes

LAST_USED_EVERY = timedelta(minutes=1)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class CreatedKey:
    """A new key; `key` is shown to its owner once and kept nowhere."""

    key: str
    record: ApiKeyRecord

    def __repr__(self) -> str:
        return f"CreatedKey(record={self.record!r})"


@dataclass(frozen=True)
class KeyOrder:
    """What a new key is to be; without `expires_in` it never expires, without `tenant_id` it is bound to none."""

    name: str
    scopes: frozenset[Scope]
    tenant_id: UUID | None = None
    expires_in: timedelta | None = None
    created_by: str | None = None


class UnusableKeyError(Exception):
    """The key was revoked or has expired, so it has no successor."""


class ApiKeys:
    """The keys in the database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._hashes = SecretHashes()

    @property
    def verifications_waiting(self) -> int:
        """How many secrets are being hashed or wait for it."""
        return self._hashes.waiting

    def close(self) -> None:
        """Let the threads that hash end."""
        self._hashes.close()

    async def create(self, connection: AsyncConnection, order: KeyOrder) -> CreatedKey:
        """Make a key in the caller's transaction; it is usable once that is committed."""
        key = ApiKey.generate()
        expires_at = datetime.now(UTC) + order.expires_in if order.expires_in is not None else None
        record = await insert_api_key(
            connection,
            NewApiKey(
                key_id=key.key_id,
                name=order.name,
                caller_id=key.key_id,
                scopes=in_order(order.scopes),
                tenant_id=order.tenant_id,
                secret_hash=await self._hashes.hash(key.secret),
                expires_at=expires_at,
                created_by=order.created_by,
            ),
        )
        return CreatedKey(key.text, record)

    async def rotate(
        self,
        connection: AsyncConnection,
        key_id: str,
        *,
        overlap: timedelta,
        expires_in: timedelta | None = None,
        tenant_id: UUID | None = None,
        created_by: str | None = None,
    ) -> CreatedKey | None:
        """Make a key that takes another's place; both work until the overlap ends. None where there is no such key.

        The new one is the same caller to us, so that an Idempotency-Key that was used with the old key finds its
        operation with the new one, too. With a tenant, only a key that is bound to it is rotated.

        Raises `UnusableKeyError` for a key that is revoked or expired.
        """
        key = ApiKey.generate()
        secret_hash = await self._hashes.hash(key.secret)
        old = await find_api_key(connection, key_id, tenant_id=tenant_id, lock=True)
        if old is None:
            return None
        now = datetime.now(UTC)
        if old.state(now) is not KeyState.ACTIVE:
            raise UnusableKeyError(key_id)
        await expire_api_key(connection, key_id, now + overlap)
        record = await insert_api_key(
            connection,
            NewApiKey(
                key_id=key.key_id,
                name=old.name,
                caller_id=old.caller_id,
                scopes=old.scopes,
                tenant_id=old.tenant_id,
                secret_hash=secret_hash,
                expires_at=now + expires_in if expires_in is not None else None,
                created_by=created_by,
            ),
        )
        return CreatedKey(key.text, record)

    async def all(self, connection: AsyncConnection, tenant_id: UUID | None = None) -> list[ApiKeyRecord]:
        """Every key, oldest first, revoked and expired ones too; with a tenant, those that are bound to it."""
        return await list_api_keys(connection, tenant_id)

    async def find(
        self, connection: AsyncConnection, key_id: str, tenant_id: UUID | None = None
    ) -> ApiKeyRecord | None:
        """The key of that id, usable or not; with a tenant, only where it is bound to that one."""
        return await find_api_key(connection, key_id, tenant_id=tenant_id)

    async def revoke(
        self, connection: AsyncConnection, key_id: str, tenant_id: UUID | None = None
    ) -> ApiKeyRecord | None:
        """Revoke a key, again or for the first time; none where there is no such key."""
        return await revoke_api_key(connection, key_id, tenant_id)

    async def verify(self, text: str) -> Caller | None:
        """The caller that the key belongs to; none where it is malformed, unknown, wrong, expired or revoked.

        All but a malformed one take equally long, so that neither ids nor revoked keys can be told by timing.
        """
        key = ApiKey.parse(text)
        if key is None:
            return None
        async with self._engine.connect() as connection:
            record = await find_api_key(connection, key.key_id)
        if record is None or record.state(datetime.now(UTC)) is not KeyState.ACTIVE:
            await self._hashes.verify_nobody(key.secret)
            return None
        if not await self._hashes.verify(record.secret_hash, key.secret):
            return None
        await self._note_use(record)
        return Caller(
            identity=f"key:{record.caller_id}",
            name=record.name,
            scopes=scopes_among(record.scopes),
            tenant_id=record.tenant_id,
        )

    async def _note_use(self, record: ApiKeyRecord) -> None:
        if record.last_used_at is not None and datetime.now(UTC) - record.last_used_at < LAST_USED_EVERY:
            return
        try:
            async with self._engine.begin() as connection:
                await note_use(connection, record.key_id, every=LAST_USED_EVERY)
        except DATABASE_ERRORS as error:
            # Who may call is settled; when a key was last used is not worth a caller's request.
            log.warning("the use of a key was not noted", key_id=record.key_id, error=type(error).__name__)
