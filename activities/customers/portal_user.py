"""Gives a customer's contact access to the client portal of Alga's management tenant, if a request asks for it.

The user has no password until the person chooses one by a link, so no password of the tenant opens the portal.
"""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from sqlalchemy import Text, bindparam, false, func, insert, not_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.across_tenants import has_other_portal_user
from activities.alga.directory.administrators import ADMIN_ROLE
from activities.alga.tables import roles, user_roles, users
from activities.customers.subject import Customer, portal_user_id
from activities.errors import FinalError
from workflows.operations.failures import INVALID_REQUEST

PORTAL_USER_REFUSED = "portal-user-refused"
# No password has this hash, which Alga refuses before it compares anything.
NO_PASSWORD = "no password yet"  # noqa: S105 - what stands in its place

_EMAIL_LOCK = select(func.pg_advisory_xact_lock(func.hashtext(bindparam("email", type_=Text))))


class PortalRequest(Protocol):
    """What a request says of the portal."""

    @property
    def portal_user(self) -> bool:
        """Whether a portal user is wanted."""

    @property
    def skip_customer_tracking(self) -> bool:
        """Whether there is to be no customer."""

    @property
    def skip_welcome_email(self) -> bool:
        """Whether there is to be no mail."""


@dataclass(frozen=True)
class PortalUser:
    """The portal user: `created`, `existing`, or `failed` with the reason."""

    status: str
    error: str | None = None


def check_portal_user(request: PortalRequest, management_tenant: UUID | None, *, mails_have_links: bool) -> None:
    """Raise `FinalError` if the request asks for a portal user who could not be made, or never sign in."""
    if not request.portal_user:
        return
    reason = None
    if request.skip_customer_tracking or request.skip_welcome_email:
        reason = "can't be combined with skipCustomerTracking or skipWelcomeEmail"
    elif management_tenant is None:
        reason = "needs Alga's management tenant; set MASTER_BILLING_TENANT_ID of gateway and worker"
    elif not mails_have_links:
        reason = "needs a mail with a link to set a password; set MAIL_PROVIDER and ALGA_SECRET_KEY of the worker"
    if reason is not None:
        raise FinalError(INVALID_REQUEST, f"portalUser: {reason}", field="portalUser")


async def ensure_portal_user(
    connection: AsyncConnection, owner: UUID, customer: Customer, contact_id: UUID | None
) -> PortalUser:
    """Make a portal user for the contact; one who is there stays as they are."""
    if contact_id is None:
        return _failed("because the customer has no contact")
    # Another statement: it sees what was committed before it began.
    await connection.execute(_EMAIL_LOCK, {"email": customer.email})
    user_id = portal_user_id(customer.tenant_id)
    query = select(users.c.user_id, users.c.contact_id).where(
        users.c.tenant == owner, users.c.user_type == "client", func.lower(users.c.email) == customer.email
    )
    for user in await connection.execute(query):
        if user.contact_id == contact_id:
            return PortalUser("created" if user.user_id == user_id else "existing")
        return _failed(f"because portal user {user.user_id} of another contact has the administrator's e-mail")
    if await has_other_portal_user(connection, customer.email, tenant_id=owner, user_id=user_id):
        return _failed(
            "because a portal user of another tenant has the administrator's e-mail, and Alga could set the password "
            "of that one"
        )
    is_portal_role = (func.lower(roles.c.role_name) == ADMIN_ROLE.lower(), roles.c.client, not_(roles.c.msp))
    role_id = await connection.scalar(
        select(roles.c.role_id).where(roles.c.tenant == owner, *is_portal_role).limit(1)
    )
    if role_id is None:
        return _failed(f"because the management tenant has no role {ADMIN_ROLE} of the client portal")
    row = {
        "user_id": user_id,
        "email": customer.email,
        "username": customer.email,
        "hashed_password": NO_PASSWORD,
        "first_name": customer.first_name,
        "last_name": customer.last_name,
        "user_type": "client",
        "contact_id": contact_id,
    }
    await connection.execute(insert(users).values(tenant=owner, **row))
    await connection.execute(insert(user_roles).values(tenant=owner, user_id=user_id, role_id=role_id))
    return PortalUser("created")


async def awaits_password(connection: AsyncConnection, owner: UUID, tenant_id: UUID, email: str) -> bool:
    """Return whether the tenant's portal user has this e-mail, is active and alone with it, and has no password."""
    user_id = portal_user_id(tenant_id)
    query = select(users.c.user_id).where(
        users.c.tenant == owner,
        users.c.user_id == user_id,
        users.c.email == email.lower(),
        users.c.user_type == "client",
        users.c.hashed_password == NO_PASSWORD,
        not_(func.coalesce(users.c.is_inactive, false())),
    )
    if await connection.scalar(query) is None:
        return False
    return not await has_other_portal_user(connection, email.lower(), tenant_id=owner, user_id=user_id)


def _failed(reason: str) -> PortalUser:
    detail = f"no portal user was made, {reason}; make one in the management tenant, from the contact of the customer"
    return PortalUser("failed", detail)
