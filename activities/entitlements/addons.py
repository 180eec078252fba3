"""Alga's add-ons: the known ones, and those of a tenant."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, case, delete, func, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.tables import tenant_addons

# Alga checks the keys nowhere, and an add-on with any other key does nothing there.
ADDONS = {
    "ai_assistant": "the assistant",
    "enterprise": "the functions of the enterprise edition",
    "teams": "the integration of Microsoft Teams",
}


async def grant(connection: AsyncConnection, tenant_id: UUID, key: str, expires_at: datetime | None) -> None:
    """Give the tenant the add-on until that time, or for good; the tenant must be locked.

    One that it has keeps the time of its activation, unless it has expired. There is no conflict clause, because
    Citus refuses now() there.
    """
    own = tenant_addons.c
    is_addon = and_(own.tenant == tenant_id, own.addon_key == key)
    activated_at = case((own.expires_at <= func.now(), func.now()), else_=own.activated_at)
    known = await connection.execute(
        update(tenant_addons).where(is_addon).values(expires_at=expires_at, activated_at=activated_at)
    )
    if not known.rowcount:
        row = {"tenant": tenant_id, "addon_key": key, "expires_at": expires_at}
        await connection.execute(insert(tenant_addons), row)


async def revoke(connection: AsyncConnection, tenant_id: UUID, key: str) -> None:
    """Take the add-on from the tenant, if it has it."""
    own = tenant_addons.c
    await connection.execute(delete(tenant_addons).where(own.tenant == tenant_id, own.addon_key == key))
