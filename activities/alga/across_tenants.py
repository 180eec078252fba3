"""The few statements that can't name a tenant, because the rule they serve spans all tenants.

An internal user's e-mail must be unique across Alga's whole installation, and no index enforces it. So whoever takes
one locks it before, in a statement of its own, because a statement sees what was there when it began.
"""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import CompoundSelect, and_, bindparam, literal_column, not_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.tables import tenants, users

_IS_GIVEN_USER = and_(users.c.tenant == bindparam("tenant_id"), users.c.user_id == bindparam("user_id"))
# Made once: making it takes as long as running it.
_OTHER_USER = (
    select(users.c.user_id)
    .where(users.c.email == bindparam("email"), users.c.user_type == "internal", not_(_IS_GIVEN_USER))
    .limit(1)
)


# Each a part of its own, so that on Citus the one goes to the tenant's shard.
_TAKEN: CompoundSelect[str] = union_all(
    select(literal_column("'tenant'").label("what")).where(tenants.c.tenant == bindparam("tenant_id")),
    select(literal_column("'email'")).select_from(_OTHER_USER.subquery("other")),
)


class Taken(NamedTuple):
    """Whether the tenant exists, and whether another internal user has the e-mail."""

    tenant: bool
    email: bool


async def what_is_taken(connection: AsyncConnection, email: str, *, tenant_id: UUID, user_id: UUID) -> Taken:
    """What there is of both already, in one round trip; the e-mail as `is_email_taken` looks for it."""
    given = {"email": email, "tenant_id": tenant_id, "user_id": user_id}
    found = set(await connection.scalars(_TAKEN, given))
    return Taken(tenant="tenant" in found, email="email" in found)


async def is_email_taken(connection: AsyncConnection, email: str, *, tenant_id: UUID, user_id: UUID) -> bool:
    """Whether an internal user other than the given one has this e-mail (in lower case, as Alga writes it)."""
    taken = await connection.scalar(_OTHER_USER, {"email": email, "tenant_id": tenant_id, "user_id": user_id})
    return taken is not None
