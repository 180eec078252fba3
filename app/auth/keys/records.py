"""The `api_keys` table. It holds a hash instead of each key's secret."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, insert, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database.own_tables import api_keys
from app.auth.keys.signing import ApiKeySigner


class KeyState(StrEnum):
    """Whether a key can be used, and if not, why."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"
    FORGED = "forged"


@dataclass(frozen=True)
class ApiKeyRecord:
    """A row of `api_keys`. `caller_id` is the id of the first of the keys that replaced each other.

    `is_genuine` means that the MAC is valid, so the row is as this service wrote it.
    """

    key_id: str
    name: str
    caller_id: str
    scopes: tuple[str, ...]
    tenant_id: UUID | None
    secret_hash: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None
    created_by: str | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    is_genuine: bool

    def state(self, now: datetime) -> KeyState:
        """Return whether the key can be used."""
        if not self.is_genuine:
            return KeyState.FORGED
        if self.revoked_at is not None:
            return KeyState.REVOKED
        return KeyState.EXPIRED if self.expires_at is not None and self.expires_at <= now else KeyState.ACTIVE


@dataclass(frozen=True)
class ResealedKeys:
    """Ids of keys that were signed again, that already had a valid MAC, and that were left alone as forged."""

    resealed: tuple[str, ...]
    current: tuple[str, ...]
    forged: tuple[str, ...]


class ApiKeyTable:
    """Reads and writes rows in the caller's transaction. Each write but `note_use` renews the row's MAC."""

    def __init__(self, signer: ApiKeySigner) -> None:
        self._signer = signer

    async def insert(self, connection: AsyncConnection, row: Mapping[str, Any]) -> ApiKeyRecord:
        """Write a new key, given by its signed columns."""
        mac = self._signer.sign(row)
        inserted = await connection.execute(insert(api_keys).values(**row, mac=mac).returning(*api_keys.c))
        return self._record(inserted.one()._asdict())

    async def find(
        self, connection: AsyncConnection, key_id: str, *, tenant_id: UUID | None = None, lock: bool = False
    ) -> ApiKeyRecord | None:
        """Return the key with this id, usable or not. With a tenant, only if the key is bound to it."""
        query = select(api_keys).where(api_keys.c.key_id == key_id, _bound_to(tenant_id))
        row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
        return self._record(row._asdict()) if row is not None else None

    async def exists(self, connection: AsyncConnection, key_id: str) -> bool:
        """Return whether there is a key with this id, whatever it is bound to."""
        return bool(await connection.scalar(select(exists().where(api_keys.c.key_id == key_id))))

    async def list(self, connection: AsyncConnection, tenant_id: UUID | None = None) -> list[ApiKeyRecord]:
        """Return all keys, oldest first, including unusable ones. With a tenant, those that are bound to it."""
        rows = await connection.execute(
            select(api_keys).where(_bound_to(tenant_id)).order_by(api_keys.c.created_at, api_keys.c.key_id)
        )
        return [self._record(row._asdict()) for row in rows]

    async def revoke(self, connection: AsyncConnection, key: ApiKeyRecord) -> ApiKeyRecord:
        """Revoke a locked key, forged or not, and keep the time of an earlier revocation.

        This gives a forged row a valid MAC, which is harmless: from then on the row says that the key is revoked.
        """
        return await self._update(connection, key.key_id, revoked_at=key.revoked_at or datetime.now(UTC))

    async def expire(self, connection: AsyncConnection, key: ApiKeyRecord, expires_at: datetime) -> None:
        """Make a locked genuine key expire at this time, unless it expires earlier."""
        if not key.is_genuine:
            raise ValueError(f"the row of the API key {key.key_id} is forged")
        await self._update(connection, key.key_id, expires_at=min(key.expires_at or expires_at, expires_at))

    async def note_use(self, connection: AsyncConnection, key_id: str, *, every: timedelta) -> None:
        """Set `last_used_at`, which the MAC does not cover, to now unless that was done within the interval."""
        last_used = api_keys.c.last_used_at
        await connection.execute(
            update(api_keys)
            .where(api_keys.c.key_id == key_id, or_(last_used.is_(None), last_used < func.now() - every))
            .values(last_used_at=func.now())
        )

    async def reseal(self, connection: AsyncConnection, old: ApiKeySigner) -> ResealedKeys:
        """Renew the MAC of rows that the old signer verifies. Leave rows that neither signer verifies."""
        rows = (await connection.execute(select(api_keys).order_by(api_keys.c.key_id).with_for_update())).all()
        resealed, current, forged = [], [], []
        for row in (found._asdict() for found in rows):
            if self._signer.verifies(row):
                current.append(row["key_id"])
            elif old.verifies(row):
                await self._update(connection, row["key_id"])
                resealed.append(row["key_id"])
            else:
                forged.append(row["key_id"])
        return ResealedKeys(tuple(resealed), tuple(current), tuple(forged))

    async def _update(self, connection: AsyncConnection, key_id: str, **changes: Any) -> ApiKeyRecord:
        is_the_key = api_keys.c.key_id == key_id
        row = (await connection.execute(select(api_keys).where(is_the_key))).one()._asdict()
        mac = self._signer.sign({**row, **changes})
        change = update(api_keys).where(is_the_key).values(**changes, mac=mac).returning(*api_keys.c)
        return self._record((await connection.execute(change)).one()._asdict())

    def _record(self, row: Mapping[str, Any]) -> ApiKeyRecord:
        fields = {**row, "scopes": tuple(row["scopes"].split()), "is_genuine": self._signer.verifies(row)}
        del fields["mac"]
        return ApiKeyRecord(**fields)


def _bound_to(tenant_id: UUID | None) -> ColumnElement[bool]:
    return api_keys.c.tenant_id == tenant_id if tenant_id is not None else true()
