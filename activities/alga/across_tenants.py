"""The few statements that can't name a tenant, because the rule they serve spans all tenants.

An internal user's e-mail must be unique across Alga's whole installation, and no index enforces it. So whoever takes
one locks it before, in a statement of its own, because a statement sees what was there when it began.
"""

from uuid import UUID

from sqlalchemy import and_, not_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.tables import users


async def is_email_taken(connection: AsyncConnection, email: str, *, tenant_id: UUID, user_id: UUID) -> bool:
    """Whether an internal user other than the given one has this e-mail (in lower case, as Alga writes it)."""
    is_given_user = and_(users.c.tenant == tenant_id, users.c.user_id == user_id)
    taken = await connection.scalar(
        select(users.c.user_id)
        .where(users.c.email == email, users.c.user_type == "internal", not_(is_given_user))
        .limit(1)
    )
    return taken is not None
