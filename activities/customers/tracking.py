"""Writes a tenant as a customer into Alga's management tenant: client, contact and tag.

What belongs to another customer is never touched: a name or an e-mail that is taken becomes an error or a warning.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, union_all
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.blueprints.psa_tables import client_billing_profiles
from activities.alga.customers.tables import (
    contact_additional_email_addresses,
    contacts,
    customer_metadata,
)
from activities.alga.tables import clients
from activities.customers.cancelling import reinstate_customer
from activities.customers.lookup import check_management_tenant, find_client
from activities.customers.portal_user import PORTAL_USER_REFUSED, PortalUser, ensure_portal_user
from activities.customers.subject import Customer
from activities.customers.tags import product_tag, tag_client
from activities.database.errors import UNIQUE_VIOLATION, sqlstate
from activities.database.live_columns import KnownColumns
from activities.errors import FinalError, PassingError
from workflows.operations.messages import OperationWarning
from workflows.tenants.request import CustomerTracking
from workflows.tenants.steps import TRACK_CUSTOMER

NAME_TAKEN = "customer-name-taken"
CONTACT_TAKEN = "customer-contact-taken"
CHANGED_MEANWHILE = "customer-changed-meanwhile"


@dataclass
class Tracked:
    """The customer as it is now, and what could not be done."""

    customer: CustomerTracking
    warnings: list[OperationWarning] = field(default_factory=list)


class CustomerTracker:
    """Tracks customers in one management tenant."""

    def __init__(self, management_tenant: UUID) -> None:
        self._owner = management_tenant
        tables = (*customer_metadata.sorted_tables, client_billing_profiles)
        self._columns = KnownColumns(table.name for table in tables)

    async def track(self, connection: AsyncConnection, customer: Customer) -> Tracked:
        """Write what is missing of the customer; a second run changes nothing. The customer must be locked.

        Raises `FinalError` if nothing can be written, and `PassingError` if Alga was faster with a name or an e-mail.
        """
        await check_management_tenant(connection, self._owner)
        live = await self._columns.read(connection)
        client_id = await find_client(connection, self._owner, customer.tenant_id)
        is_known = client_id is not None
        try:
            if client_id is None:
                client_id = await self._add_client(connection, customer, live)
            else:
                # It was cancelled with a deleted tenant of this id, whose successor an operator tracks.
                await reinstate_customer(connection, customer.tenant_id)
            contact_id, is_contact_known, warnings = await self._ensure_contact(connection, customer, client_id, live)
            await tag_client(connection, self._owner, client_id, product_tag(customer.product_code))
            portal = PortalUser("skipped")
            if customer.wants_portal_user:
                portal = await ensure_portal_user(connection, self._owner, customer, contact_id)
        except DBAPIError as error:
            if sqlstate(error) == UNIQUE_VIOLATION:
                raise PassingError(CHANGED_MEANWHILE, "Alga has written the same name or e-mail meanwhile") from None
            raise
        tracked = CustomerTracking(
            client_id=client_id,
            contact_id=contact_id,
            client_reused=is_known,
            contact_reused=is_contact_known,
            contact_error=warnings[0].detail if warnings else None,
            portal_status=portal.status,
            portal_error=portal.error,
        )
        if portal.error is not None:
            warnings.append(OperationWarning(code=PORTAL_USER_REFUSED, detail=portal.error, step=TRACK_CUSTOMER))
        return Tracked(tracked, warnings)

    async def _add_client(self, connection: AsyncConnection, customer: Customer, live: frozenset[str]) -> UUID:
        query = select(clients.c.client_id).where(
            clients.c.tenant == self._owner, clients.c.client_name == customer.name
        )
        if (taken := await connection.scalar(query)) is not None:
            detail = (
                f"the management tenant has another client named {customer.name!r} ({taken}), which does not have "
                "this tenant's id, so nothing was written there; rename one of them, or if it is this tenant's, add "
                '"onboarding_association": {"tenant_uuid": "' + str(customer.tenant_id) + '"} to its properties'
            )
            raise FinalError(NAME_TAKEN, detail)
        client_id = customer.derived_id("client")
        association = {"admin_email": customer.email, "tenant_uuid": str(customer.tenant_id)}
        properties = {
            # Where Alga's deletion looks for it.
            "tenant_id": str(customer.tenant_id),
            "subscription_type": customer.product_code,
            "onboarding_association": association,
        }
        client = {"client_id": client_id, "client_name": customer.name, "properties": properties}
        await connection.execute(insert(clients).values(tenant=self._owner, client_type="company", **client))
        if f"{client_billing_profiles.name}.is_system_managed_default" in live:
            profile = {
                "billing_profile_id": customer.derived_id("billing_profile"),
                "client_id": client_id,
                "name": "Default",
                "is_default": True,
                "is_system_managed_default": True,
            }
            await connection.execute(insert(client_billing_profiles).values(tenant=self._owner, **profile))
        return client_id

    async def _ensure_contact(
        self, connection: AsyncConnection, customer: Customer, client_id: UUID, live: frozenset[str]
    ) -> tuple[UUID | None, bool, list[OperationWarning]]:
        """Return the contact, whether it was there before, and a warning if another one has the e-mail."""
        found = await self._contacts_with(connection, customer.email, live)
        own = [contact.contact_name_id for contact in found if contact.client_id == client_id]
        if own:
            return own[0], True, []
        if found:
            other = found[0]
            place = f"of client {other.client_id}" if other.client_id is not None else "without a client"
            detail = (
                f"contact {other.contact_name_id} {place} in the management tenant has the administrator's e-mail, "
                f"so the customer has no contact; change that e-mail or move the contact to client {client_id}, then "
                f"run alga-tenants track {customer.tenant_id}"
            )
            return None, False, [OperationWarning(code=CONTACT_TAKEN, detail=detail, step=TRACK_CUSTOMER)]
        contact = {
            "contact_name_id": customer.derived_id("contact"),
            "client_id": client_id,
            "full_name": customer.contact_name,
            "email": customer.email,
            "role": "Admin",
        }
        await connection.execute(insert(contacts).values(tenant=self._owner, **contact))
        return customer.derived_id("contact"), False, []

    async def _contacts_with(self, connection: AsyncConnection, email: str, live: frozenset[str]) -> Sequence[Any]:
        """Return the contacts that have the e-mail, or have it as an additional one."""
        own = select(contacts.c.contact_name_id, contacts.c.client_id).where(
            contacts.c.tenant == self._owner, func.lower(func.btrim(contacts.c.email)) == email
        )
        further = contact_additional_email_addresses
        if f"{further.name}.email_address" not in live:
            return (await connection.execute(own)).all()
        additional = (
            select(contacts.c.contact_name_id, contacts.c.client_id)
            .join_from(
                contacts,
                further,
                (further.c.tenant == contacts.c.tenant) & (further.c.contact_name_id == contacts.c.contact_name_id),
            )
            .where(
                contacts.c.tenant == self._owner,
                further.c.tenant == self._owner,
                func.lower(func.btrim(further.c.email_address)) == email,
            )
        )
        return (await connection.execute(union_all(own, additional))).all()
