"""Reads from Alga's tables who gets a welcome mail, and what it says."""

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.across_tenants import find_conflicts
from activities.alga.directory.administrators import administrators
from activities.alga.tables import tenants
from activities.errors import FinalError
from activities.suspensions.rows import find_standing

NO_ADMINISTRATOR = "no-administrator"
TENANT_NOT_FOUND = "tenant-not-found"
TENANT_SUSPENDED = "tenant-suspended"
DUPLICATE_EMAIL = "duplicate-email"


@dataclass(frozen=True)
class Recipient:
    """An administrator of a tenant."""

    tenant_id: UUID
    user_id: UUID
    tenant_name: str = field(repr=False)
    product_code: str
    email: str = field(repr=False)
    first_name: str = field(repr=False)
    last_name: str = field(repr=False)
    awaits_portal_password: bool = False


async def find_recipient(connection: AsyncConnection, tenant_id: UUID, user_id: UUID | None) -> Recipient:
    """Return an active administrator: the given user, or else the tenant's first one.

    Raises `FinalError` if there is no such tenant or administrator, if the tenant is suspended, or if another
    internal user has the same e-mail, so that a link might set the password of that one.
    """
    tenant = (
        await connection.execute(
            select(tenants.c.client_name, tenants.c.product_code).where(tenants.c.tenant == tenant_id)
        )
    ).one_or_none()
    if tenant is None:
        raise FinalError(TENANT_NOT_FOUND, f"there is no tenant {tenant_id}", field="tenantId")
    if (await find_standing(connection, tenant_id)).is_suspended:
        raise FinalError(TENANT_SUSPENDED, f"tenant {tenant_id} is suspended, so no one can sign in")
    user = (await connection.execute(administrators(tenant_id, user_id))).first()
    if user is None:
        detail = "the tenant has no active internal user with the MSP role Admin"
        if user_id is not None:
            detail = f"user {user_id} is no active internal user of the tenant with the MSP role Admin"
        raise FinalError(NO_ADMINISTRATOR, detail, field="userId" if user_id is not None else None)
    conflicts = await find_conflicts(connection, user.email.lower(), tenant_id=tenant_id, user_id=user.user_id)
    if conflicts.email:
        detail = "another internal user has the administrator's e-mail, and Alga could set the password of that one"
        raise FinalError(DUPLICATE_EMAIL, detail)
    return Recipient(
        tenant_id=tenant_id,
        user_id=user.user_id,
        tenant_name=tenant.client_name,
        product_code=tenant.product_code,
        email=user.email,
        first_name=user.first_name or "",
        last_name=user.last_name or "",
    )
