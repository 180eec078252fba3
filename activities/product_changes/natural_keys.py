"""The columns by which people distinguish the rows of a blueprint's tables, and the names of those rows."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from activities.alga import tables

Key = tuple[Hashable, ...]


@dataclass(frozen=True)
class NaturalKey:
    """The columns by which people know a row, the column of its id if it has one, and its name for examples."""

    table: Table
    columns: tuple[str, ...]
    id: str | None
    label: Callable[[Mapping[str, Any]], str]

    def of(self, row: Mapping[str, Any]) -> Key:
        """Return a row's key."""
        return tuple(row[name] for name in self.columns)


def audience(row: Mapping[str, Any]) -> str:
    """Return whom a role or a permission is for."""
    return {(True, False): "MSP", (False, True): "client portal"}.get((row["msp"], row["client"]), "both")


NATURAL_KEYS = {
    key.table.name: key
    for key in (
        NaturalKey(
            tables.roles,
            ("role_name", "msp", "client"),
            "role_id",
            lambda row: f"{row['role_name']} ({audience(row)})",
        ),
        NaturalKey(
            tables.permissions,
            ("resource", "action", "msp", "client"),
            "permission_id",
            lambda row: f"{row['resource']}:{row['action']} ({audience(row)})",
        ),
        NaturalKey(
            tables.statuses,
            ("status_type", "name"),
            "status_id",
            lambda row: f"{row['name']} ({row['status_type']})",
        ),
        NaturalKey(tables.tax_regions, ("region_code",), None, lambda row: str(row["region_code"])),
        NaturalKey(
            tables.tax_rates,
            ("region_code", "description"),
            "tax_rate_id",
            lambda row: f"{row['description']} ({row['region_code']})",
        ),
        NaturalKey(
            tables.document_default_folders,
            ("entity_type", "folder_path"),
            "default_folder_id",
            lambda row: f"{row['folder_path']} ({row['entity_type']})",
        ),
        NaturalKey(tables.asset_type_registry, ("slug",), "type_id", lambda row: str(row["slug"])),
    )
}
"""By table; `role_permissions` have only ids."""
