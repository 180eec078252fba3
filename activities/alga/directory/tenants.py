"""Reads tenants from Alga's tables, which may have been created by other services."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from sqlalchemy import Select, and_, false, func, not_, null, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.tables import clients, tenant_companies, tenants, users
from activities.database.id_lists import id_parameters, id_values
from activities.database.own_tables import suspensions


@dataclass(frozen=True)
class TenantRecord:
    """A tenant. `company_name` is the name of its own client; `user_count` counts active internal users."""

    tenant_id: UUID
    name: str
    company_name: str | None
    email: str = field(repr=False)
    product_code: str
    plan: str | None
    billing_source: str
    license_count: int | None
    user_count: int
    suspended_at: datetime | None
    created_at: datetime | None


async def read_tenants(
    connection: AsyncConnection, columns: Collection[str], tenant_ids: Sequence[UUID]
) -> list[TenantRecord]:
    """Return those of the tenants that exist, in the given order; `columns` are those that the database has.

    If an older Alga has no column for suspensions, our own record says which tenants are suspended.
    """
    if not tenant_ids:
        return []
    since: dict[UUID, datetime] = {}
    if not has_suspensions(columns):
        since = await read_suspensions(connection, tenant_ids)
    rows = await connection.execute(
        _query(len(tenant_ids), has_suspensions=has_suspensions(columns)), id_values(tenant_ids)
    )
    found = {row.tenant_id: TenantRecord(**row._asdict()) for row in rows}
    found |= {id_: replace(record, suspended_at=since[id_]) for id_, record in found.items() if id_ in since}
    return [found[tenant_id] for tenant_id in tenant_ids if tenant_id in found]


def has_suspensions(columns: Collection[str]) -> bool:
    """Return whether Alga has a column for suspensions; `columns` are those that the database has."""
    return f"{tenants.name}.{tenants.c.suspended_at.name}" in columns


async def read_suspensions(
    connection: AsyncConnection, tenant_ids: Sequence[UUID] | None = None
) -> dict[UUID, datetime]:
    """Return since when the tenants are suspended by our own record, of these tenants or of all."""
    query = select(suspensions.c.tenant_id, suspensions.c.suspended_at)
    if tenant_ids is not None:
        query = query.where(suspensions.c.tenant_id.in_(tenant_ids))
    return dict((await connection.execute(query)).all())


@lru_cache(maxsize=256)
def _query(number: int, *, has_suspensions: bool) -> Select[*tuple[object, ...]]:
    """Return one query for so many tenants.

    `tenant_companies` is a local table on Citus. As a subquery it is read once, and the other tables are joined by
    tenant on their shards.
    """
    tenant_ids = id_parameters(number)
    own = (
        select(tenant_companies.c.tenant, tenant_companies.c.client_id)
        .where(tenant_companies.c.tenant.in_(tenant_ids), tenant_companies.c.is_default)
        .subquery("own")
    )
    active = (
        select(users.c.tenant, func.count().label("number"))
        .where(
            users.c.tenant.in_(tenant_ids),
            users.c.user_type == "internal",
            not_(func.coalesce(users.c.is_inactive, false())),
        )
        .group_by(users.c.tenant)
        .subquery("active")
    )
    is_own_client = and_(clients.c.tenant == tenants.c.tenant, clients.c.client_id == own.c.client_id)
    return (
        select(
            tenants.c.tenant.label("tenant_id"),
            tenants.c.client_name.label("name"),
            clients.c.client_name.label("company_name"),
            tenants.c.email,
            tenants.c.product_code,
            tenants.c.plan,
            tenants.c.billing_source,
            tenants.c.licensed_user_count.label("license_count"),
            func.coalesce(active.c.number, 0).label("user_count"),
            tenants.c.suspended_at if has_suspensions else null().label("suspended_at"),
            tenants.c.created_at,
        )
        .select_from(tenants)
        .outerjoin(own, own.c.tenant == tenants.c.tenant)
        .outerjoin(clients, is_own_client)
        .outerjoin(active, active.c.tenant == tenants.c.tenant)
        .where(tenants.c.tenant.in_(tenant_ids))
    )
