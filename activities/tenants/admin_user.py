"""Writes the administrator, who has the MSP `Admin` role."""

from uuid import UUID

from activities.alga import tables
from activities.alga.bulk_insert import TableRows, insert_statement
from activities.alga.ids import derived_id
from activities.database.transactions import Secret, Transaction
from workflows.tenants.request import AdminUser

ADMIN_USER = Secret("admin_user")
"""The administrator's row, which holds the hash of a password."""


def admin_user_id(tenant_id: UUID) -> UUID:
    """Return the id of the tenant's first user."""
    return derived_id(tenant_id, "user", "admin")


def admin_user_rows(tenant_id: UUID, admin: AdminUser) -> TableRows:
    """Return the administrator's row, whose document is the value of `ADMIN_USER`."""
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
    return TableRows.of(tables.users, [user])


async def write_admin_user(transaction: Transaction, tenant_id: UUID, rows: TableRows, admin_role_id: UUID) -> None:
    """Insert the administrator, whose row the server keeps as `ADMIN_USER`, and give them the role."""
    role = {"user_id": admin_user_id(tenant_id), "role_id": admin_role_id}
    await transaction.run(
        insert_statement(tenant_id, rows, secret=ADMIN_USER),
        insert_statement(tenant_id, TableRows.of(tables.user_roles, [role])),
    )
