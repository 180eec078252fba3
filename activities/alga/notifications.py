"""A tenant's notification settings: one for every global category and subtype, with its defaults."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Column, Table, func, literal_column, select, union_all

from activities.alga import tables
from activities.alga.bulk_insert import TableRows
from activities.alga.row_templates import DerivedId, RowTemplates


class NotificationDefault(NamedTuple):
    """A global notification category or subtype; `table` is the name of the table of the tenants' settings."""

    table: str
    id: int
    is_enabled: bool
    is_default_enabled: bool


class _Source(NamedTuple):
    """A global table, the tenants' table, and the column there that refers to the former's key."""

    table: Table
    settings: Table
    reference: str

    @property
    def key(self) -> Column[Any]:
        (key,) = self.table.primary_key.columns
        return key


SOURCES = (
    _Source(tables.notification_categories, tables.tenant_notification_category_settings, "category_id"),
    _Source(tables.notification_subtypes, tables.tenant_notification_subtype_settings, "subtype_id"),
    _Source(
        tables.internal_notification_categories, tables.tenant_internal_notification_category_settings, "category_id"
    ),
    _Source(
        tables.internal_notification_subtypes, tables.tenant_internal_notification_subtype_settings, "subtype_id"
    ),
)

_DEFAULTS = union_all(
    *(
        select(
            literal_column(f"'{source.settings.name}'").label("name"),
            source.key.label("id"),
            source.table.c.is_enabled,
            source.table.c.is_default_enabled,
        )
        for source in SOURCES
    )
).subquery("defaults")
NOTIFICATION_DEFAULTS = select(func.jsonb_agg(func.jsonb_build_array(*_DEFAULTS.c))).scalar_subquery()
"""Every global notification category and subtype, as a JSON expression; these tables belong to no tenant."""


def read_notification_defaults(found: Sequence[Sequence[Any]] | None) -> tuple[NotificationDefault, ...]:
    """Return the value of `NOTIFICATION_DEFAULTS` as rows."""
    return tuple(sorted(NotificationDefault._make(row) for row in found or ()))


def notification_settings(tenant_id: UUID, defaults: tuple[NotificationDefault, ...]) -> list[TableRows]:
    """Return the tenant's rows."""
    return _templates(defaults).fill(tenant_id)


# The defaults change with releases of Alga only.
@lru_cache(maxsize=4)
def _templates(defaults: tuple[NotificationDefault, ...]) -> RowTemplates:
    rows = [
        (source.settings, [_row(source, default) for default in defaults if default.table == source.settings.name])
        for source in SOURCES
    ]
    return RowTemplates([(table, records) for table, records in rows if records])


def _row(source: _Source, default: NotificationDefault) -> dict[str, Any]:
    name = source.settings.name
    return {
        f"{name.removesuffix('s')}_id": DerivedId((name, str(default.id))),
        source.reference: default.id,
        "is_enabled": default.is_enabled,
        "is_default_enabled": default.is_default_enabled,
    }
