"""A tenant whose product was changed equals one that was made as psa, but for what stays and what is set up."""

from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.capture.capture import TenantCapture
from activities.product_changes.activities import ProductChangeActivities
from tests.activities.capture.conftest import loaded
from tests.activities.conftest import built_in_blueprints
from tests.activities.product_changes.conftest import Insert, NewTenant, asking, change
from tests.support.audit import AUDIT
from tests.support.tenants.comparing import comparable_rows
from tests.support.tenants.model_tenant import TASKS, WORKFLOWS, complete_model, insert_rows
from tests.support.tenants.rows import fingerprints, row_counts

pytestmark = pytest.mark.anyio

# What product psa would not have, and what its first client needs for taxes.
STAYS = {"roles": 1, "permissions": 7, "role_permissions": 25}
SET_UP = {"client_tax_rates": 1, "tax_components": 1}


async def test_a_changed_tenant_has_all_rows_of_a_new_one(
    changing: ProductChangeActivities, new_tenant: NewTenant, database: asyncpg.Connection
) -> None:
    tenant_id, model, neighbour = await new_tenant(), await new_tenant("psa"), await new_tenant()
    neighbours = await fingerprints(database, without=[tenant_id])
    before = await row_counts(database, tenant_id)

    committed = await change(changing, tenant_id)

    assert committed.warnings == ()
    after, expected = await row_counts(database, tenant_id), await row_counts(database, model)
    assert {table: after[table] - expected.get(table, 0) for table in after} == {
        table: (STAYS | SET_UP).get(table, 0) for table in {**expected, **SET_UP}
    }
    assert committed.result == {
        "tenantId": str(tenant_id),
        "productCode": "psa",
        "previousProductCode": "algadesk",
        "addedRows": {
            table: number - before.get(table, 0) for table, number in after.items() if number != before.get(table)
        },
    }
    assert await fingerprints(database, without=[tenant_id]) == neighbours
    # Names of rows hold parts of the tenant's own row.
    await database.execute("UPDATE tenants SET product_code = 'psa' WHERE tenant = $1", neighbour)
    made, wanted, desk = [await comparable_rows(database, tenant) for tenant in (tenant_id, model, neighbour)]
    for table, rows in wanted.items():
        kept = {*made[table]} - {*rows}
        assert (len(kept), kept <= {*desk.get(table, [])}) == (STAYS.get(table, 0), True), table
        assert len(made[table]) == len(rows) + len(kept), table


async def test_a_second_run_changes_nothing(
    changing: ProductChangeActivities, new_tenant: NewTenant, database: asyncpg.Connection
) -> None:
    tenant_id = await new_tenant()
    given = asking(tenant_id)
    committed = await changing.change_product(given)
    before = await fingerprints(database)
    assert await changing.change_product(given) == committed
    again = await change(changing, tenant_id)
    assert (again.result["previousProductCode"], again.result["addedRows"]) == ("psa", {})
    assert await fingerprints(database) == before


@pytest.fixture
async def model(new_tenant: NewTenant, database: asyncpg.Connection) -> UUID:
    """A tenant of product psa as Alga's own code makes it."""
    tenant_id = await new_tenant("psa")
    await complete_model(database, tenant_id)
    return tenant_id


@pytest.fixture
async def changing_to_model(engine: AsyncEngine, model: UUID, tmp_path: Path) -> ProductChangeActivities:
    """Changes products to that of the model, by a blueprint that was captured from it."""
    async with engine.connect() as connection:
        lines = built_in_blueprints()["psa"].model.contract_lines
        captured = await TenantCapture(connection, model).run("psa", lines)
    blueprints = {**built_in_blueprints(), "psa": loaded(captured, tmp_path)}
    return ProductChangeActivities(engine, blueprints, AUDIT, None)


async def test_a_tenant_gets_the_rows_of_a_captured_blueprint(
    changing_to_model: ProductChangeActivities, model: UUID, new_tenant: NewTenant, database: asyncpg.Connection
) -> None:
    """Rows of any table that refer to each other, to statuses and to the administrator."""
    tenant_id = await new_tenant()
    committed = await change(changing_to_model, tenant_id)
    assert committed.warnings == ()
    made, wanted = [await comparable_rows(database, tenant) for tenant in (tenant_id, model)]
    for table in wanted:
        if table not in STAYS:
            assert made[table] == wanted[table], table
    assert committed.result["addedRows"]["project_template_tasks"] == TASKS
    before = await fingerprints(database)
    assert (await change(changing_to_model, tenant_id)).result["addedRows"] == {}
    assert await fingerprints(database) == before


async def test_a_thing_that_the_tenant_has_made_itself_gets_no_parts(
    changing_to_model: ProductChangeActivities, new_tenant: NewTenant, database: asyncpg.Connection, insert: Insert
) -> None:
    tenant_id, template = await new_tenant(), uuid4()
    query = "SELECT user_id FROM users WHERE tenant = $1"
    admin = await database.fetchval(query, tenant_id)
    own = {"template_id": template, "template_name": "Onboarding", "created_by": admin}
    await insert("project_templates", tenant=tenant_id, **own)
    committed = await change(changing_to_model, tenant_id)
    added = committed.result["addedRows"]
    assert not {table for table in added if table.startswith("project_template")}
    assert added["workflow_definitions"] == WORKFLOWS
    assert {warning.code for warning in committed.warnings} == {"product-change-incomplete"}
    (tasks,) = [warning for warning in committed.warnings if "project_template_tasks" in warning.detail]
    assert tasks.detail.startswith(f"rows of project_template_tasks were left out ({TASKS})")


async def test_a_unique_key_that_the_tenant_has_taken_is_not_in_the_way(
    changing_to_model: ProductChangeActivities, new_tenant: NewTenant, database: asyncpg.Connection
) -> None:
    tenant_id = await new_tenant()
    taken = {"key": "system.workflow-0", "name": "Ours", "payload_schema_ref": "x", "draft_definition": {}}
    own = {"tenant": str(tenant_id), "workflow_id": str(uuid4()), "draft_version": 1, "status": "draft", **taken}
    # With all columns, because defaults don't apply to them.
    others = {"is_system": False, "is_visible": True, "is_paused": False}
    await insert_rows(database, "workflow_definitions", [{**own, **others}])
    async with database.transaction():
        # What other tests leave holds only what the table demands, which is not unique.
        await database.execute("SET LOCAL session_replication_role = replica")
        await database.execute("DELETE FROM workflow_definitions WHERE key = 'system.'")
    await database.execute("CREATE UNIQUE INDEX taken ON workflow_definitions (tenant, key)")
    try:
        committed = await change(changing_to_model, tenant_id)
    finally:
        await database.execute("DROP INDEX taken")
    assert committed.result["addedRows"]["workflow_definitions"] == WORKFLOWS - 1
    texts = [warning.detail for warning in committed.warnings]
    assert sorted(text.partition(",")[0] for text in texts) == [
        "rows of tenant_workflow_schedule were left out (1)",
        "rows of workflow_definition_versions were left out (1)",
    ]
    names = "SELECT count(*) FROM workflow_definitions WHERE tenant = $1 AND key = 'system.workflow-0'"
    assert await database.fetchval(names, tenant_id) == 1
