"""The columns of Alga's tables that a preview reads."""

from sqlalchemy import Table

from activities.alga import tables
from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.blueprints.psa_tables import PRODUCT_TABLES
from activities.alga.lifecycle_tables import pending_tenant_deletions
from activities.product_changes.natural_keys import NATURAL_KEYS

_SOME = {
    tables.clients: ("client_id", "client_name"),
    tables.client_locations: ("location_id", "client_id", "is_default"),
    tables.users: ("user_id", "email"),
    pending_tenant_deletions: ("status", "workflow_id"),
}
_WHOLE: tuple[Table, ...] = (
    *(key.table for key in NATURAL_KEYS.values()),
    tables.role_permissions,
    tables.user_roles,
    *PRODUCT_TABLES,
)
PREVIEW_COLUMNS = frozenset(
    [
        *(f"{table.name}.{column.name}" for table in _WHOLE for column in table.columns),
        *(f"{table.name}.{name}" for table, names in _SOME.items() for name in (tables.TENANT, *names)),
    ]
)
"""As `table.column`. Not every version of Alga has all of them."""


def section_columns(blueprint: Blueprint) -> frozenset[str]:
    """Return the columns of the blueprint's `rows`, as `table.column`."""
    return frozenset(
        f"{table}.{column}"
        for table, section in blueprint.model.rows.items()
        for column in (section.tenant_column, *section.columns)
    )
