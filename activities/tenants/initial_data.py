"""Writes the blueprint's rows of any table, then settings, notification settings, add-ons and billing.

All go in one round trip, and a row of the blueprint takes the place of the one that is written here.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from activities.alga import tables
from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.bulk_insert import TableRows, insert_statement
from activities.alga.ids import derived_id
from activities.alga.notifications import NotificationDefault, notification_settings
from activities.database.transactions import Transaction
from workflows.tenants.request import EmailProvider, TenantCreationInput


async def write_initial_data(
    transaction: Transaction,
    tenant_id: UUID,
    request: TenantCreationInput,
    blueprint: Blueprint,
    notifications: tuple[NotificationDefault, ...],
    *,
    created_at: datetime,
) -> None:
    """Insert the rows. Raises `FinalError` for an unknown billing plan."""
    # Only Citus has a unique key on e-mail settings. On plain PostgreSQL only the new tenant guards them from twins.
    rows = [
        TableRows.of(tables.tenant_email_settings, [_email_settings(request.email_provider)]),
        TableRows.of(tables.tenant_settings, [{"onboarding_completed": False, "onboarding_skipped": False}]),
        *notification_settings(tenant_id, notifications),
    ]
    if request.addons:
        addons = [{"addon_key": key} for key in dict.fromkeys(request.addons)]
        rows.append(TableRows.of(tables.tenant_addons, addons))
    if request.billing_plan is not None:
        name, line = blueprint.contract_line(request.billing_plan)
        preset = {
            "preset_id": derived_id(tenant_id, "contract_line_preset", name),
            "preset_name": name,
            "contract_line_type": line.type,
            "billing_frequency": line.billing_frequency,
            "billing_timing": line.billing_timing,
        }
        rows.append(TableRows.of(tables.contract_line_presets, [preset]))
        rows.append(TableRows.of(tables.default_billing_settings, [{"default_currency_code": "USD"}]))
    await transaction.run(
        *blueprint.section_statements(tenant_id, created_at),
        *(insert_statement(tenant_id, records) for records in rows),
    )


def _email_settings(provider: EmailProvider) -> dict[str, Any]:
    return {
        "email_provider": provider,
        "provider_configs": [
            {
                "providerId": f"{provider}-provider",
                "providerType": provider,
                "isEnabled": False,
                "config": {"apiKey": "", "from": ""}
                if provider == "resend"
                else {"host": "", "port": 587, "from": ""},
            }
        ],
        "custom_domains": [],
        "fallback_enabled": True,
        "tracking_enabled": False,
    }
