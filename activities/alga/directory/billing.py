"""Reads a tenant's subscription and add-ons, from tables that not every version of Alga has."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Integer, Select, Table, Text, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.billing_tables import apple_iap_subscriptions, stripe_subscriptions
from activities.alga.tables import TENANT, tenant_addons

BILLING_TABLES = (stripe_subscriptions, apple_iap_subscriptions, tenant_addons)
APPLE = "apple_iap"
# At Stripe, those that are billed.
LIVE_STATUSES = ("active", "trialing", "past_due", "unpaid")


@dataclass(frozen=True)
class Subscription:
    """A subscription at Stripe or Apple, by its id there."""

    provider: str
    external_id: str
    status: str | None
    quantity: int | None
    period_end: datetime | None


@dataclass(frozen=True)
class Addon:
    """An add-on of a tenant."""

    addon_key: str
    activated_at: datetime | None
    expires_at: datetime | None


async def find_subscription(
    connection: AsyncConnection, columns: Collection[str], tenant_id: UUID, billing_source: str
) -> Subscription | None:
    """Return the tenant's subscription, or None; `columns` are those that the database has.

    Of several, that of the billing source is preferred, then a live one, then the one that lasts longest.
    """
    queries = [
        (stripe_subscriptions, _stripe_subscription(tenant_id)),
        (apple_iap_subscriptions, _apple_subscription(tenant_id)),
    ]
    for table, query in reversed(queries) if billing_source == APPLE else queries:
        if _exists(table, columns) and (row := (await connection.execute(query)).one_or_none()) is not None:
            return Subscription(**row._asdict())
    return None


async def read_addons(connection: AsyncConnection, columns: Collection[str], tenant_id: UUID) -> list[Addon]:
    """Return the tenant's add-ons by key; `columns` are those that the database has."""
    if not _exists(tenant_addons, columns):
        return []
    addon = tenant_addons.c
    rows = await connection.execute(
        select(addon.addon_key, addon.activated_at, addon.expires_at)
        .where(addon.tenant == tenant_id)
        .order_by(addon.addon_key)
    )
    return [Addon(*row) for row in rows]


def _exists(table: Table, columns: Collection[str]) -> bool:
    return f"{table.name}.{TENANT}" in columns


def _stripe_subscription(tenant_id: UUID) -> Select[*tuple[object, ...]]:
    own = stripe_subscriptions.c
    return (
        select(
            literal_column("'stripe'", Text).label("provider"),
            own.stripe_subscription_external_id.label("external_id"),
            own.status,
            own.quantity,
            own.current_period_end.label("period_end"),
        )
        .where(own.tenant == tenant_id)
        .order_by(own.status.in_(LIVE_STATUSES).desc().nulls_last(), own.current_period_end.desc().nulls_last())
        .limit(1)
    )


def _apple_subscription(tenant_id: UUID) -> Select[*tuple[object, ...]]:
    own = apple_iap_subscriptions.c
    return (
        select(
            literal_column("'apple'", Text).label("provider"),
            own.original_transaction_id.label("external_id"),
            own.status,
            literal_column("NULL", Integer).label("quantity"),
            own.expires_at.label("period_end"),
        )
        .where(own.tenant == tenant_id)
        .order_by((own.status == "active").desc(), own.expires_at.desc().nulls_last())
        .limit(1)
    )
