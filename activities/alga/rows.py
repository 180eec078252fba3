"""The rows of a tenant that come from the request, in Alga's terms; the blueprint brings the rest.

Facts behind the values were read off what Alga's own code writes.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Table, insert, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga import tables
from activities.alga.blueprints import Blueprint
from activities.alga.ids import derived_id
from workflows.messages import BillingAddress, StepInput

Records = tuple[Table, list[dict[str, Any]]]

# How Alga writes an address that nobody gave.
UNKNOWN = "N/A"
UNKNOWN_COUNTRY = ("XX", "Unknown")


@dataclass(frozen=True)
class NotificationDefault:
    """A global notification category or subtype, whose switches a new tenant copies."""

    table: str
    id: int
    is_enabled: bool
    is_default_enabled: bool


def client_id(tenant_id: UUID) -> UUID:
    """The id of the tenant's own client."""
    return derived_id(tenant_id, "client")


def admin_user_id(tenant_id: UUID) -> UUID:
    """The id of the tenant's first user."""
    return derived_id(tenant_id, "user", "admin")


def tenant(step: StepInput) -> Records:
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
    return tables.tenants, [row]


def own_client(step: StepInput, country: tuple[str, str]) -> list[Records]:
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
        (tables.clients, [client]),
        (tables.client_locations, [location]),
        (tables.tenant_companies, [company]),
    ]


def admin_user(step: StepInput, admin_role_id: UUID) -> list[Records]:
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
    return [(tables.users, [user]), (tables.user_roles, [role])]


def initial_data(step: StepInput, blueprint: Blueprint, notifications: list[NotificationDefault]) -> list[Records]:
    """Settings, add-ons, and billing where a plan was asked for."""
    tenant_id = step.operation.tenant_id
    records: list[Records] = [
        (tables.tenant_settings, [{"onboarding_completed": False, "onboarding_skipped": False}])
    ]
    records += _notification_settings(tenant_id, notifications)
    if step.request.addons:
        records.append((tables.tenant_addons, [{"addon_key": key} for key in dict.fromkeys(step.request.addons)]))
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
        records.append((tables.contract_line_presets, [preset]))
        records.append((tables.default_billing_settings, [{"default_currency_code": "USD"}]))
    return records


async def find_country(connection: AsyncConnection, address: BillingAddress | None) -> tuple[str, str]:
    """Code and name of the address's country, or Alga's words for an unknown one."""
    if address is None or address.country_code is None:
        return UNKNOWN_COUNTRY
    countries = tables.countries.c
    code = address.country_code.upper()
    name = await connection.scalar(select(countries.name).where(countries.code == code))
    return (code, name) if name is not None else UNKNOWN_COUNTRY


async def insert_email_settings(connection: AsyncConnection, step: StepInput) -> None:
    """Write the tenant's e-mail settings unless there are any.

    The key is a serial, and only Citus has one row a tenant as a rule, so a conflict would stop nothing.
    """
    tenant_id = step.operation.tenant_id
    provider = step.request.email_provider
    settings = tables.tenant_email_settings
    config = {"apiKey": "", "from": ""} if provider == "resend" else {"host": "", "port": 587, "from": ""}
    values = {
        "tenant": tenant_id,
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
    there = select(settings.c.tenant).where(settings.c.tenant == tenant_id).exists()
    source = select(*(literal(value, settings.c[name].type) for name, value in values.items())).where(~there)
    await connection.execute(insert(settings).from_select(list(values), source))


async def find_notification_defaults(connection: AsyncConnection) -> list[NotificationDefault]:
    """Every global notification category and subtype, in one statement; these tables belong to no tenant."""
    sources = [
        select(
            literal(settings.name),
            source.c[id_column],
            source.c.is_enabled,
            source.c.is_default_enabled,
        )
        for source, id_column, settings, _ in NOTIFICATION_SETTINGS
    ]
    return [NotificationDefault(*row) for row in await connection.execute(union_all(*sources))]


# Global table and its key, the tenant's settings table and the column that refers to the key.
NOTIFICATION_SETTINGS = (
    (
        tables.notification_categories,
        "id",
        tables.tenant_notification_category_settings,
        "category_id",
    ),
    (tables.notification_subtypes, "id", tables.tenant_notification_subtype_settings, "subtype_id"),
    (
        tables.internal_notification_categories,
        "internal_notification_category_id",
        tables.tenant_internal_notification_category_settings,
        "category_id",
    ),
    (
        tables.internal_notification_subtypes,
        "internal_notification_subtype_id",
        tables.tenant_internal_notification_subtype_settings,
        "subtype_id",
    ),
)


def _notification_settings(tenant_id: UUID, defaults: list[NotificationDefault]) -> list[Records]:
    records = []
    for _, _, settings, reference in NOTIFICATION_SETTINGS:
        key = f"{settings.name.removesuffix('s')}_id"
        rows = [
            {
                key: derived_id(tenant_id, settings.name, str(default.id)),
                reference: default.id,
                "is_enabled": default.is_enabled,
                "is_default_enabled": default.is_default_enabled,
            }
            for default in defaults
            if default.table == settings.name
        ]
        if rows:
            records.append((settings, rows))
    return records
