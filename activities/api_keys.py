"""The `api_keys` table: who may call the gateway, with a hash in each secret's place."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.own_tables import api_keys


@dataclass(frozen=True)
class ApiKeyRecord:
    """A row of `api_keys`."""

    key_id: str
    name: str
    secret_hash: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


async def insert_api_key(
    connection: AsyncConnection, *, key_id: str, name: str, secret_hash: str, expires_at: datetime | None
) -> ApiKeyRecord:
    """Write a new key."""
    row = await connection.execute(
        insert(api_keys)
        .values(key_id=key_id, name=name, secret_hash=secret_hash, expires_at=expires_at)
        .returning(*api_keys.c)
    )
    return _record(row.one())


async def find_api_key(connection: AsyncConnection, key_id: str) -> ApiKeyRecord | None:
    """The key of that id, usable or not."""
    row = (await connection.execute(select(api_keys).where(api_keys.c.key_id == key_id))).one_or_none()
    return _record(row) if row is not None else None


async def list_api_keys(connection: AsyncConnection) -> list[ApiKeyRecord]:
    """All keys, oldest first, revoked and expired ones too."""
    rows = await connection.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id))
    return [_record(row) for row in rows]


async def revoke_api_key(connection: AsyncConnection, key_id: str) -> ApiKeyRecord | None:
    """Revoke the key, keeping the time of an earlier revocation; none where there is no such key."""
    row = (
        await connection.execute(
            update(api_keys)
            .where(api_keys.c.key_id == key_id)
            .values(revoked_at=func.coalesce(api_keys.c.revoked_at, func.now()))
            .returning(*api_keys.c)
        )
    ).one_or_none()
    return _record(row) if row is not None else None


async def note_use(connection: AsyncConnection, key_id: str, *, every: timedelta) -> None:
    """Set `last_used_at` to now, unless that was done within the given time."""
    last_used = api_keys.c.last_used_at
    await connection.execute(
        update(api_keys)
        .where(api_keys.c.key_id == key_id, or_(last_used.is_(None), last_used < func.now() - every))
        .values(last_used_at=func.now())
    )


def _record(row: Any) -> ApiKeyRecord:
    return ApiKeyRecord(**row._asdict())
