"""Writes what a product's blueprint brings: roles, permissions, grants, statuses, tax, folders, asset types."""

from datetime import date
from uuid import UUID

from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.bulk_insert import insert_rows
from activities.database.transactions import Transaction


async def write_blueprint(transaction: Transaction, tenant_id: UUID, blueprint: Blueprint, today: date) -> None:
    """Insert the blueprint's rows; its tax rates are valid from `today`."""
    await insert_rows(transaction, tenant_id, blueprint.rows(tenant_id, today))
