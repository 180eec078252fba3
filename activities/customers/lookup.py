"""Finds the customer that stands for a tenant in Alga's management tenant: by the tenant's id, never by a name.

Alga writes `onboarding_association.tenant_uuid` into the properties of a client. An older Alga writes the name that a
customer has chosen as `tenant_id`, so a client's own name is no tenant id there.
"""

from uuid import UUID

from sqlalchemy import Text, and_, bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.tables import clients, tenants
from activities.database.own_tables import deletions
from activities.errors import FinalError

AMBIGUOUS_CUSTOMER = "customer-ambiguous"
DELETED_TENANTS_CUSTOMER = "customer-of-deleted-tenant"
NO_SUCH_MANAGEMENT_TENANT = "management-tenant-not-found"

_LOCK = select(func.pg_advisory_xact_lock(func.hashtext(bindparam("customer", type_=Text))))
_ASSOCIATION = clients.c.properties["onboarding_association"]["tenant_uuid"]


async def lock_customer(connection: AsyncConnection, tenant_id: UUID) -> None:
    """Wait until other transactions on the tenant's customer have ended."""
    await connection.execute(_LOCK, {"customer": f"alga-tenants customer {tenant_id}"})


async def find_client(connection: AsyncConnection, management_tenant: UUID, tenant_id: UUID) -> UUID | None:
    """Return the client that stands for the tenant, or None; raises `FinalError` if there are several."""
    known = str(tenant_id)
    has_tenant_id = and_(clients.c.properties["tenant_id"].astext == known, clients.c.client_name != known)
    is_tenants = or_(_ASSOCIATION.astext == known, has_tenant_id)
    query = select(clients.c.client_id).where(clients.c.tenant == management_tenant, is_tenants)
    found = (await connection.scalars(query.order_by(clients.c.client_id).limit(2))).all()
    if len(found) > 1:
        detail = (
            f"clients {found[0]} and {found[1]} of the management tenant both have the id of this tenant in their "
            "properties, so none was changed; remove it from those that are not this tenant's"
        )
        raise FinalError(AMBIGUOUS_CUSTOMER, detail)
    return found[0] if found else None


async def refuse_used_id(connection: AsyncConnection, tenant_id: UUID) -> None:
    """Raise `FinalError` if a deleted tenant had this id: its customer may be another one than the new tenant's."""
    was_deleted = (deletions.c.tenant_id == tenant_id, deletions.c.deleted_at.is_not(None))
    if await connection.scalar(select(deletions.c.workflow_id).where(*was_deleted).limit(1)) is not None:
        detail = (
            "a deleted tenant had this id, and its customer in the management tenant may be another, so nothing "
            "was written there; track this tenant only if they are the same"
        )
        raise FinalError(DELETED_TENANTS_CUSTOMER, detail)


async def check_management_tenant(connection: AsyncConnection, management_tenant: UUID) -> None:
    """Raise `FinalError` if the database has no such tenant."""
    query = select(tenants.c.tenant).where(tenants.c.tenant == management_tenant)
    if await connection.scalar(query) is None:
        detail = (
            f"there is no tenant {management_tenant}, so no customer was tracked; correct MASTER_BILLING_TENANT_ID "
            "of gateway and worker"
        )
        raise FinalError(NO_SUCH_MANAGEMENT_TENANT, detail)
