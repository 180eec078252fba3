"""Reads which customer a tenant makes, from the tenant's own rows."""

from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.directory.administrators import administrators
from activities.alga.ids import derived_id
from activities.alga.tables import tenants
from activities.errors import FinalError

TENANT_NOT_FOUND = "tenant-not-found"
NO_ADMINISTRATOR = "no-administrator"


@dataclass(frozen=True)
class Customer:
    """A tenant as a customer of Alga, with its administrator as the contact."""

    tenant_id: UUID
    name: str = field(repr=False)
    product_code: str
    email: str = field(repr=False)
    first_name: str = field(repr=False)
    last_name: str = field(repr=False)
    wants_portal_user: bool = False

    @classmethod
    async def read(
        cls,
        connection: AsyncConnection,
        tenant_id: UUID,
        *,
        name: str | None = None,
        user_id: UUID | None = None,
        wants_portal_user: bool = False,
    ) -> Self:
        """Read a tenant with the given administrator, or else its first one.

        `name` is that of the request; without it, the tenant has the name that Alga shows. Raises `FinalError` if
        there is no such tenant or administrator.
        """
        query = select(tenants.c.client_name, tenants.c.product_code).where(tenants.c.tenant == tenant_id)
        tenant = (await connection.execute(query)).one_or_none()
        if tenant is None:
            raise FinalError(TENANT_NOT_FOUND, f"there is no tenant {tenant_id}", field="tenantId")
        admin = (await connection.execute(administrators(tenant_id, user_id))).first()
        if admin is None:
            detail = "the tenant has no active administrator, who would become the contact of the customer"
            raise FinalError(NO_ADMINISTRATOR, detail)
        return cls(
            tenant_id,
            name or tenant.client_name,
            tenant.product_code,
            admin.email.lower(),
            admin.first_name or "",
            admin.last_name or "",
            wants_portal_user,
        )

    @property
    def contact_name(self) -> str:
        """The name of the contact, or else the e-mail."""
        return f"{self.first_name} {self.last_name}".strip() or self.email

    def derived_id(self, name: str) -> UUID:
        """Return the id of the customer's row of that name in the management tenant."""
        return derived_id(self.tenant_id, "customer", name)


def portal_user_id(tenant_id: UUID) -> UUID:
    """Return the id of the tenant's portal user in the management tenant."""
    return derived_id(tenant_id, "customer", "portal_user")
