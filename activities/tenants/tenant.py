"""The rows of the tenant itself, its own client, and the client's default location.

Facts behind the values were read off what Alga's own code writes.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from activities.alga import tables
from activities.alga.bulk_insert import TableRows
from activities.alga.ids import derived_id
from workflows.operations.messages import BillingAddress, TenantCreationInput

# How Alga writes an unknown address.
UNKNOWN = "N/A"
UNKNOWN_COUNTRY = ("XX", "Unknown")


COUNTRY_NAME = (
    select(tables.countries.c.name).where(tables.countries.c.code == bindparam("country_code")).scalar_subquery()
)
"""The name of the country whose code is the parameter `country_code`."""


def client_id(tenant_id: UUID) -> UUID:
    """Return the id of the tenant's own client."""
    return derived_id(tenant_id, "client")


def tenant_rows(
    tenant_id: UUID, request: TenantCreationInput, *, country: tuple[str, str], created_at: datetime, source: str
) -> list[TableRows]:
    """Return the rows; `source` is where a licence count comes from, `country` what `read_country` returns."""
    return [_tenant(request, created_at, source), *_own_client(tenant_id, request, country)]


def _tenant(request: TenantCreationInput, created_at: datetime, source: str) -> TableRows:
    """Return the row of `tenants`; its `client_name` holds the company's name."""
    now = created_at.isoformat()
    row: dict[str, Any] = {
        "client_name": request.company,
        "email": request.admin_user.email.lower(),
        "billing_source": request.billing_source,
        "product_code": request.product_code,
        "plan": request.plan,
        "created_at": now,
        "updated_at": now,
    }
    if request.license_count is not None:
        row |= {
            "licensed_user_count": request.license_count,
            "last_license_update": now,
            "stripe_event_id": f"alga-tenants:{source}"[:255],
        }
    return TableRows.of(tables.tenants, [row])


def _own_client(tenant_id: UUID, request: TenantCreationInput, country: tuple[str, str]) -> list[TableRows]:
    """Return the tenant's own client, its default location, and the link that makes it the tenant's company."""
    address = request.billing_address or BillingAddress()
    country_code, country_name = country
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
        "country_code": country_code,
        "country_name": country_name,
        "phone": address.phone or "",
        "email": request.admin_user.email.lower(),
        "is_default": True,
        "is_active": True,
    }
    company = {"client_id": client_id(tenant_id), "is_default": True}
    return [
        TableRows.of(tables.clients, [client]),
        TableRows.of(tables.client_locations, [location]),
        TableRows.of(tables.tenant_companies, [company]),
    ]


def read_country(address: BillingAddress | None, name: str | None) -> tuple[str, str]:
    """Return code and name of the address's country, or what Alga writes for an unknown one."""
    if address is None or address.country_code is None or name is None:
        return UNKNOWN_COUNTRY
    return address.country_code.upper(), name
