"""Gives the clients of a tenant the tax settings without which product psa can't bill them."""

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any
from uuid import UUID

from activities.alga import tables
from activities.alga.blueprints.psa_tables import (
    client_billing_profiles,
    client_tax_rates,
    client_tax_settings,
    tax_components,
)
from activities.product_changes.backfills.live_tables import LiveTables
from activities.product_changes.matching import BlueprintMatching, TenantRows
from activities.product_changes.plan import Plan, Row
from workflows.tenants.steps import BACKFILL_CLIENTS

DEFAULT_TAX = "Default Tax"


async def plan_tax_defaults(rows: TenantRows, live: LiveTables, matching: BlueprintMatching, plan: Plan) -> None:
    """Plan tax settings for each default billing profile, a tax rate for each client, and the rate's component."""
    clients = await rows.read(tables.clients, "client_id", "client_name")
    names = {row["client_id"]: row["client_name"] for row in sorted(clients, key=lambda row: row["client_name"])}
    if live.has(plan, "clients get no tax settings", client_billing_profiles, client_tax_settings):
        await _plan_settings(rows, names, plan)
    rate = await _default_rate(rows, matching)
    if rate is None or not live.has(plan, "clients get no tax rate", client_tax_rates, tax_components):
        return
    rate_id, percentage = rate
    await _plan_rates(rows, names, rate_id, plan)
    component = [
        row["name"]
        for row in await rows.read(tax_components, "name", where=[tax_components.c.tax_rate_id == rate_id])
    ]
    if DEFAULT_TAX not in component:
        taken = {row["tax_component_id"] for row in await rows.read(tax_components, "tax_component_id")}
        row = {
            "tax_component_id": rows.free_id(taken, "tax_component", DEFAULT_TAX),
            "tax_rate_id": rate_id,
            "name": DEFAULT_TAX,
            # The column holds whole percents.
            "rate": int(percentage.to_integral_value(ROUND_CEILING)),
            "sequence": 1,
            "is_compound": False,
        }
        plan.add(BACKFILL_CLIENTS, tax_components, [row], [DEFAULT_TAX])


async def _plan_settings(rows: TenantRows, names: dict[UUID, str], plan: Plan) -> None:
    is_default = client_billing_profiles.c.is_default
    profiles = await rows.read(client_billing_profiles, "client_id", "billing_profile_id", where=[is_default])
    have = {_profile(row) for row in await rows.read(client_tax_settings, "client_id", "billing_profile_id")}
    missing: list[Row] = [
        {**row, "is_reverse_charge_applicable": False}
        for row in _by_client(profiles, names)
        if _profile(row) not in have
    ]
    plan.add(BACKFILL_CLIENTS, client_tax_settings, missing, [names[row["client_id"]] for row in missing])


async def _plan_rates(rows: TenantRows, names: dict[UUID, str], rate_id: UUID, plan: Plan) -> None:
    existing = await rows.read(client_tax_rates, "client_tax_rates_id", "client_id", "location_id")
    have = {row["client_id"] for row in existing if row["location_id"] is None}
    taken = {row["client_tax_rates_id"] for row in existing}
    missing: list[Row] = [
        {
            "client_tax_rates_id": rows.free_id(taken, "client_tax_rate", str(client_id)),
            "client_id": client_id,
            "tax_rate_id": rate_id,
            "is_default": True,
        }
        for client_id in names
        if client_id not in have
    ]
    plan.add(BACKFILL_CLIENTS, client_tax_rates, missing, [names[row["client_id"]] for row in missing])


async def _default_rate(rows: TenantRows, matching: BlueprintMatching) -> tuple[UUID, Decimal] | None:
    """Return the tenant's oldest active tax rate, or else the first one that the blueprint brings."""
    rate = tables.tax_rates
    found = await rows.read(rate, "tax_rate_id", "tax_percentage", "created_at", where=[rate.c.is_active])
    if found:
        oldest = min(found, key=lambda row: (row["created_at"], row["tax_rate_id"]))
        return oldest["tax_rate_id"], oldest["tax_percentage"]
    for row in matching.added[rate.name]:
        return row["tax_rate_id"], Decimal(row["tax_percentage"])
    return None


def _by_client(profiles: Sequence[Row], names: dict[UUID, str]) -> list[Row]:
    return sorted((row for row in profiles if row["client_id"] in names), key=lambda row: names[row["client_id"]])


def _profile(row: Row) -> tuple[Any, Any]:
    return row["client_id"], row["billing_profile_id"]
