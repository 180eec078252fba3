"""Compares our definitions of Alga's tables with its catalogs."""

import json
from typing import Any

import pytest
from sqlalchemy import Table, make_url

from activities.alga.blueprints.psa_tables import product_metadata
from activities.alga.customers.tables import customer_metadata
from activities.alga.lifecycle_tables import lifecycle_metadata
from activities.alga.tables import TENANT, alga_metadata
from tests.support.alga import CATALOGS, need_facts

# Global tables: every tenant reads them and none owns a row.
GLOBAL = {
    "countries",
    "internal_notification_categories",
    "internal_notification_subtypes",
    "notification_categories",
    "notification_subtypes",
}
DIALECT = make_url("postgresql+asyncpg://").get_dialect()()
DEFINED = [
    table
    for metadata in (alga_metadata, lifecycle_metadata, product_metadata, customer_metadata)
    for table in metadata.sorted_tables
]
TABLES = pytest.mark.parametrize("table", DEFINED, ids=lambda table: str(table.name))


@pytest.fixture(scope="session", params=list(CATALOGS))
def known(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Alga's tables in either shape."""
    catalog: dict[str, Any] = json.loads((need_facts() / CATALOGS[request.param]).read_text())
    tables: dict[str, Any] = catalog["tables"]
    return tables


@TABLES
def test_every_column_has_algas_type(known: dict[str, Any], table: Table) -> None:
    ours = {column.name: column.type.compile(DIALECT).lower() for column in table.columns}
    theirs = {name: known[table.name]["columns"][name]["type"] for name in ours}
    assert {
        name: kind.replace(", ", ",").replace("varchar", "character varying") for name, kind in ours.items()
    } == theirs


@TABLES
def test_what_alga_requires_is_required_here(known: dict[str, Any], table: Table) -> None:
    required = {name for name, column in known[table.name]["columns"].items() if column["not_null"]}
    assert not {column.name for column in table.columns if column.nullable} & required
    without_default = {name for name in required if not known[table.name]["columns"][name].get("default")}
    assert without_default <= set(table.columns.keys())


@TABLES
def test_the_primary_key_is_algas_or_adds_the_tenant_on_citus(known: dict[str, Any], table: Table) -> None:
    ours = {column.name for column in table.primary_key.columns}
    assert set(known[table.name]["primary_key"]) - ours <= {TENANT}


def test_exactly_the_global_tables_have_no_tenant() -> None:
    assert {table.name for table in alga_metadata.sorted_tables if TENANT not in table.columns} == GLOBAL
