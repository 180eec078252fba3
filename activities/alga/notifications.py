"""A tenant's own switches for notifications: one for every global category and subtype, copying what those say."""

from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Column, Table, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

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
            literal(source.settings.name),
            source.key,
            source.key.table.c.is_enabled,
            source.key.table.c.is_default_enabled,
        )
        for source in SOURCES
    )
)


async def find_notification_defaults(connection: AsyncConnection) -> tuple[NotificationDefault, ...]:
    """Every global notification category and subtype, in one statement; these tables belong to no tenant."""
    return tuple(NotificationDefault._make(row) for row in await connection.execute(_ALL_DEFAULTS))


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
