"""Finds the administrators of a tenant."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, false, func, not_, select

from activities.alga.ids import derived_id
from activities.alga.tables import roles, user_roles, users

ADMIN_ROLE = "Admin"


def administrators(tenant_id: UUID, user_id: UUID | None = None) -> Select[Any]:
    """Return the query for active internal users with the MSP role Admin; with `user_id`, for that user alone."""
    has_role = and_(user_roles.c.tenant == users.c.tenant, user_roles.c.user_id == users.c.user_id)
    is_role = and_(roles.c.tenant == user_roles.c.tenant, roles.c.role_id == user_roles.c.role_id)
    query = (
        select(users.c.user_id, users.c.email, users.c.first_name, users.c.last_name)
        .select_from(users)
        .join(user_roles, has_role)
        .join(roles, is_role)
        .where(
            users.c.tenant == tenant_id,
            user_roles.c.tenant == tenant_id,
            roles.c.tenant == tenant_id,
            users.c.user_type == "internal",
            not_(func.coalesce(users.c.is_inactive, false())),
            roles.c.role_name == ADMIN_ROLE,
            roles.c.msp,
            not_(func.coalesce(roles.c.client, false())),
        )
    )
    if user_id is not None:
        return query.where(users.c.user_id == user_id)
    # The one that the creation made comes first.
    return query.order_by((users.c.user_id == derived_id(tenant_id, "user", "admin")).desc(), users.c.created_at)
