"""What can't change its product, and failures, which write nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.product_changes.activities import ProductChangeActivities
from tests.activities.conftest import ON_ONE_SHAPE, built_in_blueprints
from tests.activities.product_changes.conftest import Insert, NewTenant, asking
from tests.activities.tenants.attempts import details_of, error_of, everything
from tests.support.audit import AUDIT

pytestmark = [pytest.mark.anyio, ON_ONE_SHAPE]

# Each table that a change writes, and the step that does so.
WRITTEN = {
    "roles": "apply_blueprint",
    "permissions": "apply_blueprint",
    "statuses": "apply_blueprint",
    "tax_regions": "apply_blueprint",
    "tax_rates": "apply_blueprint",
    "document_default_folders": "apply_blueprint",
    "asset_type_registry": "apply_blueprint",
    "role_permissions": "grant_rights",
    "user_roles": "grant_rights",
    "client_tax_settings": "backfill_clients",
    "client_tax_rates": "backfill_clients",
    "tax_components": "backfill_clients",
    "sla_policies": "backfill_slas",
    "sla_notification_thresholds": "backfill_slas",
    "sla_policy_targets": "backfill_slas",
    "boards": "backfill_slas",
    "tenants": "change_product",
    "alga_tenants.operations": "verify",
}


@asynccontextmanager
async def in_the_way(database: asyncpg.Connection, table: str, do: str) -> AsyncIterator[None]:
    """Run PL/pgSQL before each row that is written to the table, but for the row of a new operation."""
    events = "UPDATE" if table.startswith("alga_tenants.") else "INSERT OR UPDATE"
    await database.execute(
        f"CREATE FUNCTION public.in_the_way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {do}; END $$;"
        f" CREATE TRIGGER in_the_way BEFORE {events} ON {table} FOR EACH ROW EXECUTE FUNCTION public.in_the_way()"
    )
    try:
        yield
    finally:
        await database.execute(f"DROP TRIGGER in_the_way ON {table}; DROP FUNCTION public.in_the_way()")


async def test_a_failure_at_any_table_changes_nothing_and_names_the_step(
    changing: ProductChangeActivities, help_desk: UUID, database: asyncpg.Connection
) -> None:
    before = await everything(database)
    for table, step in WRITTEN.items():
        async with in_the_way(database, table, "RAISE EXCEPTION 'made up' USING ERRCODE = 'check_violation'"):
            error = await error_of(changing.change_product(asking(help_desk)))
        assert (error.type, details_of(error).step) == ("constraint-violation", step), table
        assert await everything(database) == before, table


async def test_a_row_that_a_trigger_swallows_is_noticed(
    changing: ProductChangeActivities, help_desk: UUID, database: asyncpg.Connection
) -> None:
    before = await everything(database)
    async with in_the_way(database, "asset_type_registry", "RETURN NULL"):
        error = await error_of(changing.change_product(asking(help_desk)))
    assert (error.type, details_of(error).step, error.non_retryable) == ("rows-missing", "verify", False)
    assert "asset_type_registry (6)" in error.message
    assert await everything(database) == before


async def test_tenants_that_must_not_change_are_refused(
    engine: AsyncEngine,
    changing: ProductChangeActivities,
    new_tenant: NewTenant,
    database: asyncpg.Connection,
    insert: Insert,
) -> None:
    billed, suspended, deleted, own = [await new_tenant() for _ in range(4)]
    subscription = {"stripe_subscription_external_id": f"sub_{billed}", "status": "past_due"}
    async with database.transaction():
        await database.execute("SET LOCAL session_replication_role = replica")
        ids = {name: uuid4() for name in ("stripe_customer_id", "stripe_price_id")}
        await insert("stripe_subscriptions", tenant=billed, **subscription, **ids)
    suspend = "UPDATE tenants SET suspended_at = now(), suspended_reason = 'tenant_cancelled' WHERE tenant = $1"
    await database.execute(suspend, suspended)
    deletion = {"deletion_id": uuid4(), "trigger_source": "manual", "workflow_id": "by-alga", "stats_snapshot": "{}"}
    await database.execute(
        "INSERT INTO pending_tenant_deletions (tenant, deletion_id, trigger_source, workflow_id, stats_snapshot,"
        " canceled_at, scheduled_deletion_date, status) VALUES ($1, $2, $3, $4, $5, now(), now(), 'confirmed')",
        deleted,
        *deletion.values(),
    )
    of_alga = ProductChangeActivities(engine, built_in_blueprints(), AUDIT, own)
    before = await everything(database)
    for activities, tenant, code, text in (
        (changing, uuid4(), "tenant-not-found", "there is no such tenant"),
        (of_alga, own, "management-tenant", "whose product never changes"),
        (changing, billed, "stripe-subscription", f"sub_{billed}), whose price only Stripe's API can change"),
        (changing, suspended, "tenant-suspended", "reactivate it first"),
        (changing, deleted, "operation-in-progress", "by workflow by-alga"),
    ):
        error = await error_of(activities.change_product(asking(tenant)))
        assert (error.type, error.non_retryable, details_of(error).step) == (code, True, "validate")
        assert text in error.message
    assert await everything(database) == before
    await database.execute("UPDATE stripe_subscriptions SET status = 'canceled' WHERE tenant = $1", billed)
    assert (await changing.change_product(asking(billed))).result["productCode"] == "psa"
