"""The `api_keys` table: who may call the gateway and what for, with a hash in each secret's place."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.own_tables import api_keys


class KeyState(StrEnum):
    """Whether a key opens anything, and why not."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True)
class NewApiKey:
    """A key to be written. `caller_id` is the id of the first of the keys that replaced each other."""

    key_id: str
    name: str
    caller_id: str
    scopes: tuple[str, ...]
    tenant_id: UUID | None
    secret_hash: str
    expires_at: datetime | None
    created_by: str | None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(key_id={self.key_id!r})"


@dataclass(frozen=True, repr=False)
class ApiKeyRecord(NewApiKey):
    """A row of `api_keys`."""

    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None

    def state(self, now: datetime) -> KeyState:
        """Whether it can be used."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        return KeyState.EXPIRED if self.expires_at is not None and self.expires_at <= now else KeyState.ACTIVE


async def insert_api_key(connection: AsyncConnection, key: NewApiKey) -> ApiKeyRecord:
    """Write a new key."""
    row = await connection.execute(
        insert(api_keys)
        .values(
            key_id=key.key_id,
            name=key.name,
            caller_id=key.caller_id,
            scopes=" ".join(key.scopes),
            tenant_id=key.tenant_id,
            secret_hash=key.secret_hash,
            expires_at=key.expires_at,
            created_by=key.created_by,
        )
        .returning(*api_keys.c)
    )
    return _record(row.one())


async def find_api_key(
    connection: AsyncConnection, key_id: str, *, tenant_id: UUID | None = None, lock: bool = False
) -> ApiKeyRecord | None:
    """The key of that id, usable or not; with a tenant, only where the key is bound to that one."""
    query = select(api_keys).where(api_keys.c.key_id == key_id, _bound_to(tenant_id))
    if lock:
        query = query.with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return _record(row) if row is not None else None


async def list_api_keys(connection: AsyncConnection, tenant_id: UUID | None = None) -> list[ApiKeyRecord]:
    """All keys, oldest first, revoked and expired ones too; with a tenant, those that are bound to it."""
    rows = await connection.execute(
        select(api_keys).where(_bound_to(tenant_id)).order_by(api_keys.c.created_at, api_keys.c.key_id)
    )
    return [_record(row) for row in rows]


async def revoke_api_key(
    connection: AsyncConnection, key_id: str, tenant_id: UUID | None = None
) -> ApiKeyRecord | None:
    """Revoke the key, keeping the time of an earlier revocation; none where there is no such key.

    With a tenant, only a key that is bound to it.
    """
    row = (
        await connection.execute(
            update(api_keys)
            .where(api_keys.c.key_id == key_id, _bound_to(tenant_id))
            .values(revoked_at=func.coalesce(api_keys.c.revoked_at, func.now()))
            .returning(*api_keys.c)
        )
    ).one_or_none()
    return _record(row) if row is not None else None


async def expire_api_key(connection: AsyncConnection, key_id: str, expires_at: datetime) -> None:
    """Let the key expire then, unless it does so earlier."""
    await connection.execute(
        update(api_keys)
        .where(api_keys.c.key_id == key_id)
        .values(expires_at=func.least(func.coalesce(api_keys.c.expires_at, expires_at), expires_at))
    )


async def note_use(connection: AsyncConnection, key_id: str, *, every: timedelta) -> None:
    """Set `last_used_at` to now, unless that was done within the given time."""
    last_used = api_keys.c.last_used_at
    await connection.execute(
        update(api_keys)
        .where(api_keys.c.key_id == key_id, or_(last_used.is_(None), last_used < func.now() - every))
        .values(last_used_at=func.now())
    )


def _bound_to(tenant_id: UUID | None) -> ColumnElement[bool]:
    return api_keys.c.tenant_id == tenant_id if tenant_id is not None else true()


def _record(row: Any) -> ApiKeyRecord:
    fields = row._asdict()
    return ApiKeyRecord(**{**fields, "scopes": tuple(fields["scopes"].split())})
