"""Creates Alga's tables in a development database that Alga does not use."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import Table, exists, inspect, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga import tables
from activities.alga.billing_tables import billing_metadata, stripe_prices, stripe_products
from activities.alga.blueprints.psa_tables import product_metadata
from activities.alga.customers.tables import customer_metadata
from activities.alga.ids import derived_id
from activities.alga.lifecycle_tables import lifecycle_metadata

ALGA_MIGRATIONS = "knex_migrations"

MANAGEMENT_TENANT: Final = UUID("a19a0000-0000-4000-8000-000000000001")
"""The id of the tenant that stands for Alga's own in development databases."""
EXAMPLE_PRICE: Final = "price_example"
"""The id at Stripe of its one price."""

COUNTRIES = {
    "AT": "Austria", "AU": "Australia", "BE": "Belgium", "BR": "Brazil", "CA": "Canada", "CH": "Switzerland",
    "DE": "Germany", "DK": "Denmark", "ES": "Spain", "FR": "France", "GB": "United Kingdom", "IE": "Ireland",
    "IN": "India", "IT": "Italy", "JP": "Japan", "NL": "Netherlands", "NZ": "New Zealand", "SE": "Sweden",
    "US": "United States", "ZA": "South Africa",
}  # fmt: skip
CATEGORIES = ("tickets", "projects", "billing")
EVENTS = ("created", "assigned", "closed")


class AlgaOwnsDatabaseError(Exception):
    """Alga's own migrations manage the database, and it lacks tables that we need."""


async def create_development_tables(connection: AsyncConnection) -> list[str]:
    """Create missing tables with a few global rows, and return their names.

    Raises `AlgaOwnsDatabaseError` if a table is missing and Alga's migrations manage the database.
    """
    live = set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))
    missing = [table for table in tables.alga_metadata.sorted_tables if table.name not in live]
    if missing and ALGA_MIGRATIONS in live:
        names = ", ".join(table.name for table in missing)
        raise AlgaOwnsDatabaseError(
            f"Alga's own migrations manage this database, and it lacks {names}: run Alga's migrations to the end"
        )
    if ALGA_MIGRATIONS not in live:
        # Alga's own migrations make these, if its edition has them.
        missing += [
            table
            for metadata in (billing_metadata, lifecycle_metadata, product_metadata, customer_metadata)
            for table in metadata.sorted_tables
            if table.name not in live
        ]
    for table in missing:
        await connection.run_sync(table.create)
    for table, rows in _global_rows():
        if table in missing:
            await connection.execute(insert(table).values(rows).on_conflict_do_nothing())
    return [table.name for table in missing]


async def create_management_tenant(connection: AsyncConnection) -> None:
    """Insert the management tenant into new development tables, with a product and a price as if from Stripe."""
    product_id = derived_id(MANAGEMENT_TENANT, "stripe_product")
    own = {"tenant": MANAGEMENT_TENANT}
    rows: dict[Table, dict[str, Any]] = {
        tables.tenants: own
        | {"client_name": "Management", "email": "management@tenants.example", "billing_source": "manual"},
        stripe_products: own | {"stripe_product_id": product_id, "name": "alga-psa-pro"},
        stripe_prices: own | {"stripe_product_id": product_id, "stripe_price_external_id": EXAMPLE_PRICE},
    }
    for table, row in rows.items():
        await connection.execute(insert(table).values(row))


async def has_management_tenant(connection: AsyncConnection) -> bool:
    """Return whether the database has the management tenant of development."""
    query = select(exists().where(tables.tenants.c.tenant == MANAGEMENT_TENANT))
    return bool(await connection.scalar(query))


def _global_rows() -> list[tuple[Table, list[dict[str, Any]]]]:
    categories = list(enumerate(CATEGORIES, start=1))
    subtypes = list(enumerate(((key, f"{name}-{event}") for key, name in categories for event in EVENTS), start=1))
    return [
        (tables.countries, [{"code": code, "name": name} for code, name in COUNTRIES.items()]),
        (tables.notification_categories, [{"id": key, "name": name} for key, name in categories]),
        (
            tables.notification_subtypes,
            [{"id": key, "category_id": category, "name": name} for key, (category, name) in subtypes],
        ),
        (
            tables.internal_notification_categories,
            [{"internal_notification_category_id": key, "name": name} for key, name in categories],
        ),
        (
            tables.internal_notification_subtypes,
            [
                {"internal_notification_subtype_id": key, "internal_category_id": category, "name": name}
                for key, (category, name) in subtypes
            ],
        ),
    ]
