"""The rows that a product's blueprint brings: roles, permissions, grants, statuses, tax, folders, asset types."""

from datetime import date
from uuid import UUID

from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.bulk_insert import TableRows


def blueprint_rows(tenant_id: UUID, blueprint: Blueprint, today: date) -> list[TableRows]:
    """Return the rows; those with a first day begin on `today`."""
    return blueprint.documents(tenant_id, today)
