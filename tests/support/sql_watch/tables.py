"""Alga's tables with tenants' rows, and the columns that determine their tenants."""

import json
from typing import Any

from activities.alga.tables import TENANT, alga_metadata
from activities.purge.catalogue import DeleteAction, ForeignKey, Table, TenantColumn, TenantType, find_child_tables
from tests.support.alga import ALGA, CATALOGS
from tests.support.sql_watch.rules import ScopedTables

SCHEMA = "public"
ACTIONS = {
    "NO ACTION": DeleteAction.NO_ACTION,
    "RESTRICT": DeleteAction.RESTRICT,
    "CASCADE": DeleteAction.CASCADE,
    "SET NULL": DeleteAction.SET_NULL,
    "SET DEFAULT": DeleteAction.SET_DEFAULT,
}


def algas_scoped_tables() -> ScopedTables:
    """Return all of Alga's tables if their description is available, else those that we write to."""
    if ALGA.is_dir():
        return _described(json.loads((ALGA / CATALOGS["plain"]).read_text())["tables"])
    return ScopedTables({table.name: TENANT for table in alga_metadata.tables.values() if TENANT in table.columns})


def _described(facts: dict[str, Any]) -> ScopedTables:
    tables = {name: Table(SCHEMA, name, name, _tenant_column(fact["tenant_column"])) for name, fact in facts.items()}
    keys = [
        ForeignKey(
            key["name"],
            name,
            key["ref_table"],
            tuple(key["columns"]),
            tuple(key["ref_columns"]),
            ACTIONS[key["on_delete"].partition(" (")[0]],
        )
        for name, fact in facts.items()
        for key in fact["foreign_keys"]
    ]
    return ScopedTables(
        {name: table.tenant.name for name, table in tables.items() if table.tenant},
        {name: frozenset(key.parent for key in links) for name, links in find_child_tables(tables, keys).items()},
    )


def _tenant_column(name: str | None) -> TenantColumn | None:
    return TenantColumn(name, TenantType.UUID, nullable=False) if name else None
