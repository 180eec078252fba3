"""API keys: verifies the keys that callers present."""

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.errors import DATABASE_ERRORS
from app.auth.callers import Caller
from app.auth.keys.format import ApiKey
from app.auth.keys.hashes import SecretHashes
from app.auth.keys.records import ApiKeyRecord, ApiKeyTable, KeyState
from app.auth.keys.signing import ApiKeySigner
from app.auth.scopes import scopes_among
from app.bounded_dict import BoundedDict

LAST_USED_INTERVAL = timedelta(minutes=1)
# A forged key that is presented repeatedly is logged once per interval.
FORGERY_LOG_SECONDS = 600.0
MAX_LOGGED_FORGERIES = 1000

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class VerifiedKey:
    """The caller that a valid key belongs to, the key's id, and when it expires."""

    caller: Caller
    key_id: str
    expires_at: datetime | None


class ApiKeys:
    """The keys in the database, and the threads that hash their secrets."""

    def __init__(self, engine: AsyncEngine, signer: ApiKeySigner) -> None:
        self.table = ApiKeyTable(signer)
        self.hashes = SecretHashes()
        self._engine = engine
        self._logged_forgeries: BoundedDict[str, float] = BoundedDict(MAX_LOGGED_FORGERIES)

    def close(self) -> None:
        """Stop the threads."""
        self.hashes.close()

    async def verify(self, text: str) -> VerifiedKey | None:
        """Return the key's caller, or None if the key is malformed, unknown, wrong, expired, revoked or forged.

        All but a malformed key take equally long, so that timing reveals neither ids nor revoked keys.
        """
        key = ApiKey.parse(text)
        if key is None:
            return None
        async with self._engine.connect() as connection:
            record = await self.table.find(connection, key.key_id)
        state = record.state(datetime.now(UTC)) if record is not None else None
        if record is None or state is not KeyState.ACTIVE:
            if state is KeyState.FORGED:
                self._log_forgery(key.key_id)
            await self.hashes.verify_dummy(key.secret)
            return None
        if not await self.hashes.verify(record.secret_hash, key.secret):
            return None
        await self._note_use(record)
        return _verified(record)

    async def find_active(self, key_id: str) -> VerifiedKey | None:
        """Return the caller of the key with this id, which was verified before, or None if it is not active now."""
        async with self._engine.connect() as connection:
            record = await self.table.find(connection, key_id)
        if record is None or record.state(datetime.now(UTC)) is not KeyState.ACTIVE:
            return None
        return _verified(record)

    def _log_forgery(self, key_id: str) -> None:
        now = time.monotonic()
        if now - self._logged_forgeries.get(key_id, -math.inf) < FORGERY_LOG_SECONDS:
            return
        self._logged_forgeries[key_id] = now
        log.error(
            "an API key was rejected because the MAC of its row is invalid; see `alga-tenants doctor`", key_id=key_id
        )

    async def _note_use(self, record: ApiKeyRecord) -> None:
        if record.last_used_at is not None and datetime.now(UTC) - record.last_used_at < LAST_USED_INTERVAL:
            return
        try:
            async with self._engine.begin() as connection:
                await self.table.note_use(connection, record.key_id, every=LAST_USED_INTERVAL)
        except DATABASE_ERRORS as error:
            # The caller is authenticated; its request must not fail because of this.
            log.warning(
                "the last use of an API key was not recorded", key_id=record.key_id, error=type(error).__name__
            )


def _verified(record: ApiKeyRecord) -> VerifiedKey:
    caller = Caller(
        identity=f"key:{record.caller_id}",
        name=record.name,
        scopes=scopes_among(record.scopes),
        tenant_id=record.tenant_id,
    )
    return VerifiedKey(caller, record.key_id, record.expires_at)
