"""Creates Alga's tables in a development database that Alga does not use."""

from typing import Any

from sqlalchemy import Table, inspect
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga import tables
from activities.alga.billing_tables import billing_metadata

ALGA_MIGRATIONS = "knex_migrations"

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
    await connection.run_sync(lambda sync: tables.alga_metadata.create_all(sync, missing))
    if ALGA_MIGRATIONS not in live:
        await connection.run_sync(billing_metadata.create_all)
    for table, rows in _global_rows():
        if table in missing:
            await connection.execute(insert(table).values(rows).on_conflict_do_nothing())
    return [table.name for table in missing]


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
