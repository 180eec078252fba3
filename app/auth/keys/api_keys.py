"""API keys: making, listing, rotating, revoking and verifying them."""

import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.database.errors import DATABASE_ERRORS
from app.auth.callers import Caller
from app.auth.keys.format import ApiKey
from app.auth.keys.hashes import SecretHashes
from app.auth.keys.records import ApiKeyRecord, ApiKeySigner, ApiKeyTable, KeyState, NewApiKey, ResealedKeys
from app.auth.scopes import Scope, in_order, scopes_among

LAST_USED_EVERY = timedelta(minutes=1)
# A forged key that is tried again and again is logged once in this time.
FORGERY_LOG_SECONDS = 600.0
MAX_LOGGED_FORGERIES = 1000

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


@dataclass(frozen=True)
class NewSecret:
    """The secret of a key that is to be written, with its hash."""

    key: ApiKey
    secret_hash: str

    def __repr__(self) -> str:
        return f"NewSecret(key={self.key!r})"


@dataclass(frozen=True)
class VerifiedKey:
    """Whom a good key belongs to, and until when it is good."""

    caller: Caller
    expires_at: datetime | None


class UnusableKeyError(Exception):
    """The key was revoked, has expired or is forged, so it has no successor."""


class ApiKeys:
    """The keys in the database."""

    def __init__(self, engine: AsyncEngine, signer: ApiKeySigner) -> None:
        self._engine = engine
        self._table = ApiKeyTable(signer)
        self._hashes = SecretHashes()
        self._logged_forgeries: OrderedDict[str, float] = OrderedDict()

    @property
    def verifications_waiting(self) -> int:
        """How many secrets are being hashed or wait for it."""
        return self._hashes.waiting

    def close(self) -> None:
        """Let the threads that hash end."""
        self._hashes.close()

    async def new_secret(self) -> NewSecret:
        """Make a secret and hash it, which is slow: to be called before a transaction is opened."""
        key = ApiKey.generate()
        return NewSecret(key, await self._hashes.hash(key.secret))

    async def create(self, connection: AsyncConnection, order: KeyOrder, secret: NewSecret) -> CreatedKey:
        """Make a key in the caller's transaction; it is usable once that is committed."""
        now = datetime.now(UTC)
        record = await self._table.insert(
            connection,
            NewApiKey(
                key_id=secret.key.key_id,
                name=order.name,
                caller_id=secret.key.key_id,
                scopes=in_order(order.scopes),
                tenant_id=order.tenant_id,
                secret_hash=secret.secret_hash,
                created_at=now,
                expires_at=now + order.expires_in if order.expires_in is not None else None,
                created_by=order.created_by,
            ),
        )
        return CreatedKey(secret.key.text, record)

    async def rotate(
        self,
        connection: AsyncConnection,
        old: ApiKeyRecord,
        secret: NewSecret,
        *,
        overlap: timedelta,
        expires_in: timedelta | None = None,
        created_by: str | None = None,
        keeps_caller: bool,
    ) -> CreatedKey:
        """Make a key that takes another's place; both work until the overlap ends. `old` must be locked.

        With `keeps_caller` the new one is the same caller to us, so that an Idempotency-Key that was used with the
        old key finds its operation with the new one, too.

        Raises `UnusableKeyError` for a key that is revoked, expired or forged.
        """
        now = datetime.now(UTC)
        if old.state(now) is not KeyState.ACTIVE:
            raise UnusableKeyError(old.key_id)
        await self._table.expire(connection, old.key_id, now + overlap)
        record = await self._table.insert(
            connection,
            NewApiKey(
                key_id=secret.key.key_id,
                name=old.name,
                caller_id=old.caller_id if keeps_caller else secret.key.key_id,
                scopes=old.scopes,
                tenant_id=old.tenant_id,
                secret_hash=secret.secret_hash,
                created_at=now,
                expires_at=now + expires_in if expires_in is not None else None,
                created_by=created_by,
            ),
        )
        return CreatedKey(secret.key.text, record)

    async def all(self, connection: AsyncConnection, tenant_id: UUID | None = None) -> list[ApiKeyRecord]:
        """Return every key, oldest first, unusable ones too; with a tenant, those that are bound to it."""
        return await self._table.list(connection, tenant_id)

    async def find(
        self, connection: AsyncConnection, key_id: str, tenant_id: UUID | None = None, *, lock: bool = False
    ) -> ApiKeyRecord | None:
        """Return the key of that id, usable or not; with a tenant, only if it is bound to that one."""
        return await self._table.find(connection, key_id, tenant_id=tenant_id, lock=lock)

    async def exists(self, connection: AsyncConnection, key_id: str) -> bool:
        """Return whether there is a key of that id, whatever it is bound to."""
        return await self._table.exists(connection, key_id)

    async def revoke(self, connection: AsyncConnection, key_id: str) -> ApiKeyRecord:
        """Revoke a key that exists, again or for the first time."""
        return await self._table.revoke(connection, key_id)

    async def reseal(self, connection: AsyncConnection, old: ApiKeySigner) -> ResealedKeys:
        """Renew the MACs of keys that verify under an old secret's key."""
        return await self._table.reseal(connection, old)

    async def verify(self, text: str) -> VerifiedKey | None:
        """Return whom the key belongs to, or None if it is malformed, unknown, wrong, expired, revoked or forged.

        All but a malformed one take equally long, so that neither ids nor revoked keys can be told by timing.
        """
        key = ApiKey.parse(text)
        if key is None:
            return None
        async with self._engine.connect() as connection:
            record = await self._table.find(connection, key.key_id)
        state = record.state(datetime.now(UTC)) if record is not None else None
        if record is None or state is not KeyState.ACTIVE:
            if state is KeyState.FORGED:
                self._log_forgery(key.key_id)
            await self._hashes.verify_nobody(key.secret)
            return None
        if not await self._hashes.verify(record.secret_hash, key.secret):
            return None
        await self._note_use(record)
        caller = Caller(
            identity=f"key:{record.caller_id}",
            name=record.name,
            scopes=scopes_among(record.scopes),
            tenant_id=record.tenant_id,
        )
        return VerifiedKey(caller, record.expires_at)

    def _log_forgery(self, key_id: str) -> None:
        now = time.monotonic()
        if now - self._logged_forgeries.get(key_id, -math.inf) < FORGERY_LOG_SECONDS:
            return
        self._logged_forgeries[key_id] = now
        self._logged_forgeries.move_to_end(key_id)
        if len(self._logged_forgeries) > MAX_LOGGED_FORGERIES:
            self._logged_forgeries.popitem(last=False)
        log.error("an API key was refused because its row has no good MAC; see `alga-tenants doctor`", key_id=key_id)

    async def _note_use(self, record: ApiKeyRecord) -> None:
        if record.last_used_at is not None and datetime.now(UTC) - record.last_used_at < LAST_USED_EVERY:
            return
        try:
            async with self._engine.begin() as connection:
                await self._table.note_use(connection, record.key_id, every=LAST_USED_EVERY)
        except DATABASE_ERRORS as error:
            # Who may call is settled; when a key was last used is not worth a caller's request.
            log.warning("the use of a key was not noted", key_id=record.key_id, error=type(error).__name__)
