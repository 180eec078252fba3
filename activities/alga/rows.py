"""The rows of a tenant that come from the request, in Alga's terms; the blueprint brings the rest.

Facts behind the values were read off what Alga's own code writes.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga import tables
from activities.alga.blueprints import Blueprint
from activities.alga.bulk_insert import TableRows
from activities.alga.ids import derived_id
from workflows.messages import BillingAddress, StepInput, TenantCreationInput

Records = tuple[Table, list[dict[str, Any]]]

# How Alga writes an address that nobody gave.
UNKNOWN = "N/A"
UNKNOWN_COUNTRY = ("XX", "Unknown")


def client_id(tenant_id: UUID) -> UUID:
    """The id of the tenant's own client."""
    return derived_id(tenant_id, "client")


def admin_user_id(tenant_id: UUID) -> UUID:
    """The id of the tenant's first user."""
    return derived_id(tenant_id, "user", "admin")


def tenant(step: StepInput) -> TableRows:
    """The row of `tenants`; its `client_name` holds the company's name."""
    request = step.request
    now = datetime.now(UTC).isoformat()
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
            "stripe_event_id": f"alga-tenants:{step.operation.workflow_id}"[:255],
        }
    return TableRows.of(tables.tenants, [row])


def own_client(step: StepInput, country: tuple[str, str]) -> list[TableRows]:
    """The tenant's own client, its default location, and the link that makes it the tenant's company."""
    tenant_id = step.operation.tenant_id
    request = step.request
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


def admin_user(step: StepInput, admin_role_id: UUID) -> list[TableRows]:
    """The first user and the role that makes them the MSP's administrator."""
    tenant_id = step.operation.tenant_id
    admin = step.request.admin_user
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
    role = {"user_id": admin_user_id(tenant_id), "role_id": admin_role_id}
    return [TableRows.of(tables.users, [user]), TableRows.of(tables.user_roles, [role])]


def initial_data(step: StepInput, blueprint: Blueprint, notifications: Iterable[TableRows]) -> list[TableRows]:
    """Settings of the tenant, its e-mail and its notifications, add-ons, and billing where a plan was asked for."""
    tenant_id = step.operation.tenant_id
    records = [
        _email_settings(step.request),
        TableRows.of(tables.tenant_settings, [{"onboarding_completed": False, "onboarding_skipped": False}]),
    ]
    records += notifications
    if step.request.addons:
        addons = [{"addon_key": key} for key in dict.fromkeys(step.request.addons)]
        records.append(TableRows.of(tables.tenant_addons, addons))
    if step.request.billing_plan is not None:
        found = blueprint.contract_line(step.request.billing_plan)
        if found is None:
            raise ValueError("the billing plan was not checked against the blueprint")
        name, line = found
        preset = {
            "preset_id": derived_id(tenant_id, "contract_line_preset", name),
            "preset_name": name,
            "contract_line_type": line.type,
            "billing_frequency": line.billing_frequency,
            "billing_timing": line.billing_timing,
        }
        records.append(TableRows.of(tables.contract_line_presets, [preset]))
        records.append(TableRows.of(tables.default_billing_settings, [{"default_currency_code": "USD"}]))
    return records


async def find_country(connection: AsyncConnection, address: BillingAddress | None) -> tuple[str, str]:
    """Code and name of the address's country, or Alga's words for an unknown one."""
    if address is None or address.country_code is None:
        return UNKNOWN_COUNTRY
    countries = tables.countries.c
    code = address.country_code.upper()
    name = await connection.scalar(select(countries.name).where(countries.code == code))
    return (code, name) if name is not None else UNKNOWN_COUNTRY


def _email_settings(request: TenantCreationInput) -> TableRows:
    """The tenant's e-mail settings.

    Their key is a serial, and only Citus has one row a tenant as a rule, so that a conflict would stop nothing: that
    they are written once is the fence's doing.
    """
    provider = request.email_provider
    config = {"apiKey": "", "from": ""} if provider == "resend" else {"host": "", "port": 587, "from": ""}
    row = {
        "email_provider": provider,
        "provider_configs": [
            {
                "providerId": f"{provider}-provider",
                "providerType": provider,
                "isEnabled": False,
                "config": config,
            }
        ],
        "custom_domains": [],
        "fallback_enabled": True,
        "tracking_enabled": False,
    }
    return TableRows.of(tables.tenant_email_settings, [row])
