"""Reads a tenant's users, without secrets."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, and_, false, func, literal_column, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.across_tenants import Place
from activities.alga.tables import roles, user_roles, users

LAST_LOGIN = "users.last_login_at"

_IS_INACTIVE = func.coalesce(users.c.is_inactive, false())
# Alga's column may be null. Such users come last.
_CREATED_AT = func.coalesce(users.c.created_at, literal_column("TIMESTAMPTZ 'epoch'"))


@dataclass(frozen=True)
class UserFilter:
    """Which users a page shows."""

    user_type: str | None = None
    is_inactive: bool | None = None


@dataclass(frozen=True)
class UserRecord:
    """A user with the names of the roles."""

    place: Place
    user_id: UUID
    email: str = field(repr=False)
    first_name: str | None = field(repr=False)
    last_name: str | None = field(repr=False)
    user_type: str
    is_inactive: bool
    roles: tuple[str, ...]
    last_login_at: datetime | None
    created_at: datetime | None


async def list_users(
    connection: AsyncConnection,
    columns: Collection[str],
    tenant_id: UUID,
    wanted: UserFilter,
    *,
    limit: int,
    after: Place | None,
) -> list[UserRecord]:
    """Return users of the tenant that follow the given place, newest first.

    `columns` are those that the database has. An older one does not know when a user signed in last.
    """
    last_login_at = literal_column(LAST_LOGIN if LAST_LOGIN in columns else "NULL", DateTime(timezone=True))
    own = users.c
    query = select(
        own.user_id,
        own.email,
        own.first_name,
        own.last_name,
        own.user_type,
        _IS_INACTIVE.label("is_inactive"),
        last_login_at.label("last_login_at"),
        own.created_at,
        _CREATED_AT.label("at"),
    ).where(own.tenant == tenant_id)
    if wanted.user_type is not None:
        query = query.where(own.user_type == wanted.user_type)
    if wanted.is_inactive is not None:
        query = query.where(_IS_INACTIVE.is_(wanted.is_inactive))
    if after is not None:
        query = query.where(tuple_(_CREATED_AT, own.user_id) < tuple_(*after))
    query = query.order_by(_CREATED_AT.desc(), own.user_id.desc()).limit(limit)
    rows = [row._asdict() for row in await connection.execute(query)]
    named = await _read_roles(connection, tenant_id, [row["user_id"] for row in rows])
    return [_record(row, named) for row in rows]


async def _read_roles(
    connection: AsyncConnection, tenant_id: UUID, user_ids: Collection[UUID]
) -> dict[UUID, list[str]]:
    found: dict[UUID, list[str]] = defaultdict(list)
    if user_ids:
        is_role = and_(roles.c.tenant == user_roles.c.tenant, roles.c.role_id == user_roles.c.role_id)
        query = (
            select(user_roles.c.user_id, roles.c.role_name)
            .join_from(user_roles, roles, is_role)
            .where(user_roles.c.tenant == tenant_id, user_roles.c.user_id.in_(user_ids))
        )
        for user_id, name in await connection.execute(query):
            found[user_id].append(name)
    return found


def _record(row: dict[str, Any], roles_of: dict[UUID, list[str]]) -> UserRecord:
    user_id = row["user_id"]
    return UserRecord(place=Place(row.pop("at"), user_id), roles=tuple(sorted(roles_of[user_id])), **row)
