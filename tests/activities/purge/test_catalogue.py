"""The catalogue of all of Alga's tables, compared with their independent description."""

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.purge.catalogue import DeleteAction, read_catalogue
from tests.activities.purge.conftest import Shape

pytestmark = pytest.mark.anyio

TYPES = {"uuid": "uuid", "varchar": "character varying(255)"}


async def test_every_tenant_table_is_found_with_its_column(connection: AsyncConnection, shape: Shape) -> None:
    catalogue = await read_catalogue(connection)

    found = {
        table.label: (table.tenant.name, TYPES[table.tenant.type], not table.tenant.nullable)
        for table in catalogue.tenant_tables
        if table.tenant
    }
    known = {
        name: (column, table["columns"][column]["type"], table["columns"][column]["not_null"])
        for name, table in shape.catalog["tables"].items()
        if (column := table["tenant_column"])
    }
    assert len(found) == 459
    assert found == known


async def test_microsofts_tenant_id_is_not_mistaken_for_ours(connection: AsyncConnection) -> None:
    catalogue = await read_catalogue(connection)

    for label in ("microsoft_profiles", "microsoft_email_provider_config", "microsoft_calendar_provider_config"):
        column = catalogue.tables[label].tenant
        assert column
        assert column.name == "tenant"


async def test_child_tables_without_a_tenant_column_are_found(connection: AsyncConnection) -> None:
    catalogue = await read_catalogue(connection)

    parents = {label: {key.parent for key in keys} for label, keys in catalogue.child_tables.items()}
    assert parents.keys() == {
        "composite_tax_mappings",
        "extension_files",
        "extension_permissions",
        "tax_holidays",
        "tax_rate_thresholds",
    }
    assert parents["tax_holidays"] == parents["tax_rate_thresholds"] == {"tax_rates"}
    assert "tax_components" in parents["composite_tax_mappings"]


async def test_every_foreign_key_is_read_correctly(connection: AsyncConnection, shape: Shape) -> None:
    catalogue = await read_catalogue(connection)

    actions = {action: action.name.replace("_", " ") for action in DeleteAction}
    found = {
        (key.child, key.name, key.columns, key.parent, key.parent_columns, actions[key.on_delete])
        for key in catalogue.foreign_keys
    }
    known = {
        (name, key["name"], tuple(key["columns"]), key["ref_table"], tuple(key["ref_columns"]), key["on_delete"])
        for name, table in shape.catalog["tables"].items()
        for key in table["foreign_keys"]
    }
    assert found == known


async def test_the_plan_has_every_table_once_and_children_before_parents(connection: AsyncConnection) -> None:
    catalogue = await read_catalogue(connection)

    plan = catalogue.deletion_plan()

    position = {table.label: index for index, table in enumerate(plan.order)}
    assert len(plan.order) == len(position) == 459 + 5
    assert position.keys() == {table.label for table in catalogue.tenant_tables} | catalogue.child_tables.keys()
    cut = {cut.key for cut in plan.cuts}
    links = {key for keys in catalogue.child_tables.values() for key in keys}
    for key in {*catalogue.foreign_keys, *links} - cut:
        if key.child in position and key.parent in position and key.child != key.parent:
            assert position[key.child] < position[key.parent], key


async def test_each_of_the_five_pairs_is_cut_once(connection: AsyncConnection) -> None:
    plan = (await read_catalogue(connection)).deletion_plan()

    assert {frozenset({cut.key.child, cut.key.parent}) for cut in plan.cuts} == {
        frozenset({"clients", "inbound_ticket_defaults"}),
        frozenset({"boards", "statuses"}),
        frozenset({"opportunities", "opportunity_suggestions"}),
        frozenset({"assets", "stock_units"}),
        frozenset({"authorization_bundles", "authorization_bundle_revisions"}),
    }
    assert len(plan.cuts) == 5


async def test_the_plan_is_the_same_every_time(connection: AsyncConnection) -> None:
    first = (await read_catalogue(connection)).deletion_plan()

    assert (await read_catalogue(connection)).deletion_plan() == first
