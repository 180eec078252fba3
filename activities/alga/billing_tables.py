"""The tables of Alga's billing, which not every edition has, with only the columns that we read or write.

No migration of Alga's makes some columns that production has. So a creation reads the live catalogue first.
"""

from typing import Any

from sqlalchemy import Column, DateTime, Integer, MetaData, Table, Text, Uuid, func, text
from sqlalchemy.schema import SchemaItem

from activities.alga.tables import TENANT
from activities.database.live_columns import live_columns

billing_metadata = MetaData()


def _table(name: str, key: Column[Any], *columns: SchemaItem) -> Table:
    return Table(name, billing_metadata, Column(TENANT, Uuid, primary_key=True), key, *columns)


def _id(name: str) -> Column[Any]:
    return Column(name, Uuid, primary_key=True, server_default=func.gen_random_uuid())


def _columns(type_: Any, *names: str, nullable: bool = True) -> tuple[Column[Any], ...]:
    return tuple(Column(name, type_, nullable=nullable) for name in names)


stripe_products = _table("stripe_products", _id("stripe_product_id"), *_columns(Text, "name", nullable=False))

stripe_prices = _table(
    "stripe_prices",
    _id("stripe_price_id"),
    *_columns(Uuid, "stripe_product_id", nullable=False),
    *_columns(Text, "stripe_price_external_id", nullable=False),
)

stripe_customers = _table(
    "stripe_customers",
    _id("stripe_customer_id"),
    *_columns(Text, "stripe_customer_external_id", "email", nullable=False),
    *_columns(Text, "name"),
    *_columns(Uuid, "billing_tenant"),
)

stripe_subscriptions = _table(
    "stripe_subscriptions",
    _id("stripe_subscription_id"),
    *_columns(Text, "stripe_subscription_external_id", nullable=False),
    *_columns(Uuid, "stripe_customer_id", "stripe_price_id", nullable=False),
    *_columns(Text, "status", "stripe_subscription_item_id", "stripe_base_item_id"),
    *_columns(Uuid, "stripe_base_price_id"),
    Column("quantity", Integer, nullable=False, server_default=text("1")),
    *_columns(DateTime(timezone=True), "current_period_start", "current_period_end"),
)

apple_iap_subscriptions = _table(
    "apple_iap_subscriptions",
    Column("original_transaction_id", Text, primary_key=True),
    *_columns(Text, "product_id", "bundle_id", "environment", "status", nullable=False),
    *_columns(Text, "latest_transaction_id"),
    *_columns(Uuid, "app_account_token"),
    *_columns(DateTime(timezone=True), "expires_at", "original_purchase_at"),
)

LIVE_COLUMNS = live_columns(billing_metadata.tables)
"""The columns of those of these tables that the database has, as `table.column` in one text, or null."""
