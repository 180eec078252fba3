"""The rows of a tenant's settings, notifications and add-ons, and of its billing if a plan was asked for."""

from collections.abc import Iterable
from uuid import UUID

from activities.alga import tables
from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.bulk_insert import TableRows
from activities.alga.ids import derived_id
from workflows.operations.messages import TenantCreationInput


def initial_data_rows(
    tenant_id: UUID, request: TenantCreationInput, blueprint: Blueprint, notifications: Iterable[TableRows]
) -> list[TableRows]:
    """Return the rows; the billing plan has been checked against the blueprint."""
    records = [
        _email_settings(request),
        TableRows.of(tables.tenant_settings, [{"onboarding_completed": False, "onboarding_skipped": False}]),
    ]
    records += notifications
    if request.addons:
        addons = [{"addon_key": key} for key in dict.fromkeys(request.addons)]
        records.append(TableRows.of(tables.tenant_addons, addons))
    if request.billing_plan is not None:
        found = blueprint.contract_line(request.billing_plan)
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


def _email_settings(request: TenantCreationInput) -> TableRows:
    """The tenant's e-mail settings.

    Their key is a serial, and only Citus has one row a tenant as a rule, so that a conflict would stop nothing: they
    are written once because the tenant's row is.
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
