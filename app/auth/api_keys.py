"""API keys: making, listing, revoking and verifying them."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar, TypeVarTuple

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.api_keys import (
    ApiKeyRecord,
    find_api_key,
    insert_api_key,
    list_api_keys,
    note_use,
    revoke_api_key,
)
from activities.database_errors import DATABASE_ERRORS
from app.auth.callers import Caller
from app.auth.key_format import ApiKey

# OWASP's least for argon2id, in the variant that takes the least memory: 7 MiB, 5 passes, one lane. More would
# only slow callers down, because a secret of 256 random bits can't be guessed however fast guesses are.
HASHER = PasswordHasher(time_cost=5, memory_cost=7168, parallelism=1)

LAST_USED_EVERY = timedelta(minutes=1)

log = structlog.get_logger(__name__)

ResultT = TypeVar("ResultT")
ArgumentTs = TypeVarTuple("ArgumentTs")


@dataclass(frozen=True)
class CreatedKey:
    """A new key; `key` is shown to its owner once and kept nowhere."""

    key: str
    record: ApiKeyRecord

    def __repr__(self) -> str:
        return f"CreatedKey(record={self.record!r})"


class ApiKeys:
    """The keys in the database; hashing happens in threads of its own, a few at a time."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # argon2 releases the interpreter's lock, so more threads than processors would only wait.
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="api-keys")
        self._nobodys_hash: str | None = None

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)

    async def create(self, name: str, *, expires_in: timedelta | None = None) -> CreatedKey:
        """Make a key that is usable at once; without `expires_in` it never expires."""
        key = ApiKey.generate()
        secret_hash = await self._in_thread(HASHER.hash, key.secret)
        async with self._engine.begin() as connection:
            record = await insert_api_key(
                connection,
                key_id=key.key_id,
                name=name,
                secret_hash=secret_hash,
                expires_at=datetime.now(UTC) + expires_in if expires_in is not None else None,
            )
        return CreatedKey(key.text, record)

    async def all(self) -> list[ApiKeyRecord]:
        """Every key, oldest first, revoked and expired ones too."""
        async with self._engine.connect() as connection:
            return await list_api_keys(connection)

    async def revoke(self, key_id: str) -> ApiKeyRecord | None:
        """Revoke a key, again or for the first time; none where there is no such key."""
        async with self._engine.begin() as connection:
            return await revoke_api_key(connection, key_id)

    async def verify(self, text: str) -> Caller | None:
        """The caller that the key belongs to; none where it is malformed, unknown, wrong, expired or revoked.

        An unknown id takes as long as a wrong secret, so that ids can't be found by timing.
        """
        key = ApiKey.parse(text)
        if key is None:
            return None
        async with self._engine.connect() as connection:
            record = await find_api_key(connection, key.key_id)
        secret_hash = record.secret_hash if record is not None else await self._hash_of_nobody()
        matches = await self._in_thread(_matches, secret_hash, key.secret)
        if record is None or not matches or not _is_usable(record):
            return None
        await self._note_use(record)
        return Caller(identity=f"key:{record.key_id}", name=record.name)

    async def _note_use(self, record: ApiKeyRecord) -> None:
        if record.last_used_at is not None and datetime.now(UTC) - record.last_used_at < LAST_USED_EVERY:
            return
        try:
            async with self._engine.begin() as connection:
                await note_use(connection, record.key_id, every=LAST_USED_EVERY)
        except DATABASE_ERRORS as error:
            # Who may call is settled; when a key was last used is not worth a caller's request.
            log.warning("the use of a key was not noted", key_id=record.key_id, error=type(error).__name__)

    async def _hash_of_nobody(self) -> str:
        if self._nobodys_hash is None:
            self._nobodys_hash = await self._in_thread(HASHER.hash, ApiKey.generate().secret)
        return self._nobodys_hash

    async def _in_thread(self, function: Callable[[*ArgumentTs], ResultT], *arguments: *ArgumentTs) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _matches(secret_hash: str, secret: str) -> bool:
    try:
        return HASHER.verify(secret_hash, secret)
    except (VerificationError, InvalidHashError):
        return False


def _is_usable(record: ApiKeyRecord) -> bool:
    return record.revoked_at is None and (record.expires_at is None or record.expires_at > datetime.now(UTC))
