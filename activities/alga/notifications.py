"""A tenant's own switches for notifications: one for every global category and subtype, copying what those say."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Column, Table, func, literal_column, select, union_all

from activities.alga import tables
from activities.alga.bulk_insert import TableRows
from activities.alga.row_templates import DerivedId, RowTemplates


class NotificationDefault(NamedTuple):
    """A global notification category or subtype, and the table of the tenants' switches for it."""

    table: str
    id: int
    is_enabled: bool
    is_default_enabled: bool


class _Source(NamedTuple):
    """The key of a global table, the tenants' table and the name of its column that refers to the key."""

    key: Column[Any]
    settings: Table
    reference: str


SOURCES = (
    _Source(
        tables.notification_categories.c.id,
        tables.tenant_notification_category_settings,
        "category_id",
    ),
    _Source(
        tables.notification_subtypes.c.id,
        tables.tenant_notification_subtype_settings,
        "subtype_id",
    ),
    _Source(
        tables.internal_notification_categories.c.internal_notification_category_id,
        tables.tenant_internal_notification_category_settings,
        "category_id",
    ),
    _Source(
        tables.internal_notification_subtypes.c.internal_notification_subtype_id,
        tables.tenant_internal_notification_subtype_settings,
        "subtype_id",
    ),
)

_ALL_DEFAULTS = union_all(
    *(
        select(
            literal_column(f"'{source.settings.name}'").label("name"),
            source.key.label("id"),
            source.key.table.c.is_enabled,
            source.key.table.c.is_default_enabled,
        )
        for source in SOURCES
    )
)


_ALL = _ALL_DEFAULTS.subquery("defaults")

NOTIFICATION_DEFAULTS = select(func.jsonb_agg(func.jsonb_build_array(*_ALL.c))).scalar_subquery()
"""Every global notification category and subtype, as a JSON expression; these tables belong to no tenant."""


def read_notification_defaults(found: Sequence[Sequence[Any]] | None) -> tuple[NotificationDefault, ...]:
    """Return what `NOTIFICATION_DEFAULTS` has found."""
    return tuple(sorted(NotificationDefault._make(row) for row in found or ()))


def notification_settings(tenant_id: UUID, defaults: tuple[NotificationDefault, ...]) -> list[TableRows]:
    """The tenant's switches."""
    return _templates(defaults).fill(tenant_id)


# The defaults change with a release of Alga at most.
@lru_cache(maxsize=4)
def _templates(defaults: tuple[NotificationDefault, ...]) -> RowTemplates:
    return RowTemplates(
        [
            (source.settings, rows)
            for source in SOURCES
            if (rows := [_row(source, default) for default in defaults if default.table == source.settings.name])
        ]
    )


def _row(source: _Source, default: NotificationDefault) -> dict[str, Any]:
    name = source.settings.name
    return {
        f"{name.removesuffix('s')}_id": DerivedId((name, str(default.id))),
        source.reference: default.id,
        "is_enabled": default.is_enabled,
        "is_default_enabled": default.is_default_enabled,
    }
