"""The rows of the administrator, who has the MSP `Admin` role."""

from uuid import UUID

from activities.alga import tables
from activities.alga.bulk_insert import TableRows
from activities.alga.ids import derived_id
from workflows.operations.messages import AdminUser


def admin_user_id(tenant_id: UUID) -> UUID:
    """Return the id of the tenant's first user."""
    return derived_id(tenant_id, "user", "admin")


def admin_user_rows(tenant_id: UUID, admin: AdminUser, admin_role_id: UUID) -> list[TableRows]:
    """Return the first user and the role that makes them the MSP's administrator."""
    email = admin.email.lower()
    user = {
        "user_id": admin_user_id(tenant_id),
        "username": email,
        "email": email,
        "first_name": admin.first_name,
        "last_name": admin.last_name,
        "hashed_password": admin.password_hash,
        "user_type": "internal",
        "is_inactive": False,
    }
    role = {"user_id": admin_user_id(tenant_id), "role_id": admin_role_id}
    return [TableRows.of(tables.users, [user]), TableRows.of(tables.user_roles, [role])]
