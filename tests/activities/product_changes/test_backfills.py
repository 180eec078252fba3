"""What a tenant in use gets beside the rows of a new tenant: technicians, tax settings and service levels."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from activities.product_changes.activities import ProductChangeActivities
from activities.product_changes.planning import plan_product_change
from tests.activities.conftest import ON_ONE_SHAPE, built_in_blueprints
from tests.activities.product_changes.conftest import Insert, NewTenant, add_help_desk, change
from tests.activities.purge.conftest import rolled_back, run_script
from tests.support.tenants.rows import fingerprints

pytestmark = pytest.mark.anyio

ROLES_OF = """
    SELECT r.role_name FROM user_roles u JOIN roles r USING (tenant, role_id)
    WHERE tenant = $1 AND user_id = $2 ORDER BY role_name
"""


async def rows(database: asyncpg.Connection, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await database.fetch(query, *arguments)]


async def test_agents_become_technicians_and_stay_agents(
    changing: ProductChangeActivities, new_tenant: NewTenant, database: asyncpg.Connection, insert: Insert
) -> None:
    tenant_id = await new_tenant()
    ids = await add_help_desk(database, insert, tenant_id)
    await change(changing, tenant_id)
    assert await rows(database, ROLES_OF, tenant_id, ids["agent"]) == [("Agent",), ("Technician",)]
    admin = "SELECT user_id FROM users WHERE tenant = $1 AND user_id <> $2"
    others = await rows(database, ROLES_OF, tenant_id, await database.fetchval(admin, tenant_id, ids["agent"]))
    assert others == [("Admin",)]


async def test_every_client_gets_tax_settings_once(
    changing: ProductChangeActivities, new_tenant: NewTenant, database: asyncpg.Connection, insert: Insert
) -> None:
    tenant_id = await new_tenant()
    ids = await add_help_desk(database, insert, tenant_id)
    await insert("tax_regions", tenant=tenant_id, region_code="AT", region_name="Austria")
    rate = {"tax_rate_id": uuid4(), "region_code": "AT", "description": "VAT"}
    await database.execute(
        "INSERT INTO tax_rates (tenant, tax_rate_id, region_code, tax_percentage, description, start_date)"
        " VALUES ($1, $2, $3, 19.5, $4, now())",
        tenant_id,
        *rate.values(),
    )
    kept = uuid4()
    await insert("clients", tenant=tenant_id, client_id=kept, client_name="Initech")
    await insert(
        "client_tax_rates", tenant=tenant_id, client_id=kept, tax_rate_id=rate["tax_rate_id"], is_default=False
    )
    await change(changing, tenant_id)
    settings = "SELECT client_id, billing_profile_id, is_reverse_charge_applicable FROM client_tax_settings"
    assert await rows(database, f"{settings} WHERE tenant = $1", tenant_id) == [
        (ids["client"], ids["profile"], False)
    ]
    own = await database.fetchval("SELECT client_id FROM tenant_companies WHERE tenant = $1", tenant_id)
    rates = "SELECT client_id, tax_rate_id, location_id, is_default FROM client_tax_rates WHERE tenant = $1"
    assert set(await rows(database, rates, tenant_id)) == {
        (own, rate["tax_rate_id"], None, True),
        (ids["client"], rate["tax_rate_id"], None, True),
        (kept, rate["tax_rate_id"], None, False),
    }
    components = "SELECT tax_rate_id, name, rate, sequence, is_compound FROM tax_components WHERE tenant = $1"
    assert await rows(database, components, tenant_id) == [(rate["tax_rate_id"], "Default Tax", 20, 1, False)]


async def test_boards_with_itil_priorities_get_service_levels(
    changing: ProductChangeActivities, new_tenant: NewTenant, database: asyncpg.Connection, insert: Insert
) -> None:
    tenant_id = await new_tenant()
    ids = await add_help_desk(database, insert, tenant_id)
    committed = await change(changing, tenant_id)
    assert committed.warnings == ()
    policy, name, is_default = await database.fetchrow(
        "SELECT sla_policy_id, policy_name, is_default FROM sla_policies WHERE tenant = $1", tenant_id
    )
    assert (name, is_default) == ("ITIL Standard", False)
    boards = "SELECT board_name, sla_policy_id FROM boards WHERE tenant = $1 ORDER BY board_name"
    assert await rows(database, boards, tenant_id) == [("Office", None), ("Service Desk", policy)]
    thresholds = (
        "SELECT threshold_percent, notification_type, notify_assignee, notify_board_manager,"
        " notify_escalation_manager, channels FROM sla_notification_thresholds WHERE tenant = $1"
        " AND sla_policy_id = $2 ORDER BY threshold_percent"
    )
    assert await rows(database, thresholds, tenant_id, policy) == [
        (50, "warning", True, False, False, ["in_app"]),
        (75, "warning", True, True, False, ["in_app"]),
        (90, "warning", True, True, True, ["in_app", "email"]),
        (100, "breach", True, True, True, ["in_app", "email"]),
    ]
    targets = (
        "SELECT priority_id, response_time_minutes, resolution_time_minutes, escalation_1_percent,"
        " escalation_2_percent, escalation_3_percent, is_24x7 FROM sla_policy_targets WHERE tenant = $1"
    )
    assert await rows(database, targets, tenant_id) == [(ids["urgent"], 15, 60, 70, 90, 110, True)]


async def test_service_levels_that_a_tenant_has_are_kept(
    changing: ProductChangeActivities, help_desk: UUID, database: asyncpg.Connection, insert: Insert
) -> None:
    policy = uuid4()
    await insert("sla_policies", tenant=help_desk, sla_policy_id=policy, policy_name="ITIL Standard")
    own = {"sla_policy_id": policy, "threshold_percent": 75, "notification_type": "warning"}
    await insert("sla_notification_thresholds", tenant=help_desk, **own, notify_board_manager=False)
    committed = await change(changing, help_desk)
    assert "sla_policies" not in committed.result["addedRows"]
    assert committed.result["addedRows"]["sla_notification_thresholds"] == 3
    query = "SELECT sla_policy_id FROM boards WHERE tenant = $1 AND priority_type = 'itil'"
    assert await database.fetchval(query, help_desk) == policy


@ON_ONE_SHAPE
async def test_a_version_of_alga_without_the_tables_is_served_with_warnings(
    database_url: str, help_desk: UUID
) -> None:
    async with rolled_back(database_url) as connection:
        older = "DROP TABLE client_tax_settings CASCADE; ALTER TABLE boards DROP COLUMN sla_policy_id"
        await run_script(connection, older)
        plan = await plan_product_change(
            connection, help_desk, built_in_blueprints()["psa"], "algadesk", datetime.now(UTC)
        )
    assert {warning.code for warning in plan.warnings} == {"product-change-incomplete"}
    texts = " ".join(warning.detail for warning in plan.warnings)
    assert "no client_tax_settings.tenant, so clients get no tax settings" in texts
    assert "no boards.sla_policy_id, so boards with ITIL priorities get no service levels" in texts
    assert not {"client_tax_settings", "sla_policies"} & plan.added.keys()
    assert {"client_tax_rates", "roles"} <= plan.added.keys()


@ON_ONE_SHAPE
async def test_many_clients_take_few_statements(
    changing: ProductChangeActivities,
    help_desk: UUID,
    database: asyncpg.Connection,
    statements: list[Any],
) -> None:
    add = "INSERT INTO clients (tenant, client_name) SELECT $1, 'Client ' || n FROM generate_series(1, 5000) AS n"
    await database.execute(add, help_desk)
    neighbours = await fingerprints(database, without=[help_desk])
    statements.clear()
    committed = await change(changing, help_desk)
    assert committed.result["addedRows"]["client_tax_rates"] == 5002
    assert len(statements) < 90
    assert await fingerprints(database, without=[help_desk]) == neighbours
    async with database.transaction():
        await database.execute("SET LOCAL session_replication_role = replica")
        for table in ("client_tax_rates", "clients"):
            await database.execute(f"DELETE FROM {table} WHERE tenant = $1", help_desk)  # noqa: S608 - ours
