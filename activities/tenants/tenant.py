"""Writes the tenant itself, its own client, and the client's default location, with the values that Alga writes."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from activities.alga import tables
from activities.alga.bulk_insert import TableRows, insert_rows
from activities.alga.ids import derived_id
from activities.database.transactions import Transaction
from workflows.tenants.request import BillingAddress, TenantCreationInput

# How Alga writes an unknown address.
UNKNOWN = "N/A"
UNKNOWN_COUNTRY = ("XX", "Unknown")

COUNTRY_NAME = (
    select(tables.countries.c.name).where(tables.countries.c.code == bindparam("country_code")).scalar_subquery()
)
"""The name of the country whose code is the parameter `country_code`, or null."""


def client_id(tenant_id: UUID) -> UUID:
    """Return the id of the tenant's own client."""
    return derived_id(tenant_id, "client")


def country_code(request: TenantCreationInput) -> str | None:
    """Return the code of the country of the billing address."""
    code = request.billing_address.country_code if request.billing_address is not None else None
    return code.upper() if code is not None else None


async def write_tenant(
    transaction: Transaction,
    tenant_id: UUID,
    request: TenantCreationInput,
    *,
    country_name: str | None,
    created_at: datetime,
    source: str,
    links: Iterable[TableRows] = (),
) -> None:
    """Insert the rows, and those of `links`; `source` is recorded as the origin of a licence count."""
    country = (country_code(request), country_name) if country_name is not None else UNKNOWN_COUNTRY
    await insert_rows(
        transaction,
        tenant_id,
        [
            TableRows.of(tables.tenants, [_tenant(request, created_at.isoformat(), source)]),
            *_own_client(tenant_id, request, country),
            *links,
        ],
    )


def _tenant(request: TenantCreationInput, now: str, source: str) -> dict[str, Any]:
    row = {
        # Alga keeps the company's name here.
        "client_name": request.company,
        "email": request.admin_user.email.lower(),
        "billing_source": request.payer,
        "product_code": request.product_code,
        "plan": request.plan,
        "created_at": now,
        "updated_at": now,
    }
    if request.license_count is None:
        return row
    return row | {
        "licensed_user_count": request.license_count,
        "last_license_update": now,
        "stripe_event_id": f"alga-tenants:{source}"[:255],
    }


def _own_client(
    tenant_id: UUID, request: TenantCreationInput, country: tuple[str | None, str]
) -> tuple[TableRows, ...]:
    """Return the tenant's own client, its default location, and the link that makes it the tenant's company."""
    address = request.billing_address or BillingAddress()
    code, name = country
    client = {
        "client_id": client_id(tenant_id),
        "client_name": request.client,
        "client_type": "company",
        "properties": {"type": "msp", "is_system_client": True, "created_by": "tenant_setup"},
    }
    location = {
        "location_id": derived_id(tenant_id, "client_location", "main"),
        "client_id": client_id(tenant_id),
        "location_name": "Main Office",
        "address_line1": address.line1 or UNKNOWN,
        "address_line2": address.line2,
        "city": address.city or UNKNOWN,
        "state_province": address.state,
        "postal_code": address.postal_code,
        "country_code": code,
        "country_name": name,
        "phone": address.phone or "",
        "email": request.admin_user.email.lower(),
        "is_default": True,
        "is_active": True,
    }
    company = {"client_id": client_id(tenant_id), "is_default": True}
    return (
        TableRows.of(tables.clients, [client]),
        TableRows.of(tables.client_locations, [location]),
        TableRows.of(tables.tenant_companies, [company]),
    )
