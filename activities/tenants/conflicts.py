"""Refuses a tenant whose id, or an administrator whose e-mail, is taken."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.across_tenants import find_conflicts
from activities.errors import FinalError
from activities.tenants.admin_user import admin_user_id
from workflows.tenants.request import TenantCreationInput


async def refuse_conflicts(connection: AsyncConnection, tenant_id: UUID, request: TenantCreationInput) -> None:
    """Raise `FinalError` if the tenant exists, or another internal user has the e-mail, which is locked."""
    conflicts = await find_conflicts(
        connection, request.admin_user.email, tenant_id=tenant_id, user_id=admin_user_id(tenant_id)
    )
    if conflicts.tenant:
        raise tenant_exists_error(tenant_id)
    if conflicts.email:
        raise FinalError(
            "duplicate-email",
            "another internal user has the administrator's e-mail already; use another address",
            field="adminUser.email",
        )


def tenant_exists_error(tenant_id: UUID) -> FinalError:
    """Return the error for a tenant id that is taken."""
    return FinalError("tenant-exists", f"tenant {tenant_id} exists already; use another tenantId", field="tenantId")
