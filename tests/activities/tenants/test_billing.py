"""A tenant's subscription at Stripe or Apple is written as Alga writes it, or refused by name."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.tenants.provisioning import ProvisioningActivities
from tests.activities.billing_requests import bought_in_an_app, subscribed
from tests.activities.conftest import ON_ONE_SHAPE, provision_input, provisioning_on, request
from tests.activities.tenants.attempts import details_of, error_of, everything, operation_row
from tests.support.tenants.stripe import ManagementTenant, insert_management_tenant
from workflows.operations.messages import FailureDetails
from workflows.tenants.steps import VALIDATE

pytestmark = pytest.mark.anyio


@pytest.fixture
async def management(database: asyncpg.Connection) -> ManagementTenant:
    return await insert_management_tenant(database)


@pytest.fixture
def provisioning(engine: AsyncEngine, management: ManagementTenant) -> ProvisioningActivities:
    return provisioning_on(engine, billing_tenant=management.tenant_id)


async def only_row(database: asyncpg.Connection, table: str, tenant_id: UUID | None) -> dict[str, Any]:
    [row] = await database.fetch(f"SELECT * FROM {table} WHERE tenant = $1", tenant_id)  # noqa: S608 - names of ours
    return dict(row)


@asynccontextmanager
async def changed(database: asyncpg.Connection, change: str, undo: str) -> AsyncIterator[None]:
    """Run the block on a changed schema."""
    await database.execute(change)
    try:
        yield
    finally:
        await database.execute(undo)


async def test_customer_and_subscription_of_stripe_are_written_as_alga_does(
    provisioning: ProvisioningActivities, database: asyncpg.Connection, management: ManagementTenant
) -> None:
    given = subscribed(
        management,
        licenseCount=7,
        stripeBaseItemId="si_base",
        stripeBasePriceId=management.base,
        clientName="Acme Ltd",
    )
    await provisioning.provision_tenant(provision_input(given))
    customer = await only_row(database, "stripe_customers", given.tenant_id)
    assert customer["stripe_customer_external_id"] == given.stripe_customer_id
    assert customer["billing_tenant"] == management.tenant_id
    assert (customer["email"], customer["name"]) == (given.admin_user.email, "Acme Ltd")
    subscription = await only_row(database, "stripe_subscriptions", given.tenant_id)
    assert subscription["stripe_subscription_external_id"] == given.stripe_subscription_id
    assert subscription["stripe_customer_id"] == customer["stripe_customer_id"]
    assert subscription["stripe_price_id"] == await management.price_id(database, management.pro)
    assert subscription["stripe_base_price_id"] == await management.price_id(database, management.base)
    assert (subscription["stripe_base_item_id"], subscription["status"], subscription["quantity"]) == (
        "si_base",
        "active",
        7,
    )
    days = subscription["current_period_end"] - subscription["current_period_start"]
    assert timedelta(days=28) <= days <= timedelta(days=31)
    tenant = await only_row(database, "tenants", given.tenant_id)
    assert (tenant["billing_source"], tenant["plan"]) == ("stripe", "pro")


async def test_a_second_run_with_a_subscription_writes_nothing_more(
    provisioning: ProvisioningActivities, database: asyncpg.Connection, management: ManagementTenant
) -> None:
    given = provision_input(subscribed(management))
    first = await provisioning.provision_tenant(given)
    rows = await everything(database)
    assert await provisioning.provision_tenant(given) == first
    assert await everything(database) == rows


async def test_a_subscription_of_apple_is_written_as_alga_does(
    provisioning: ProvisioningActivities, database: asyncpg.Connection
) -> None:
    token = uuid4()
    given = bought_in_an_app(
        appAccountToken=str(token),
        latestTransactionId="42",
        expiresAt="2026-12-31T23:00:00.000Z",
        originalPurchaseAt="2026-11-30T23:00:00+01:00",
    )
    await provisioning.provision_tenant(provision_input(given))
    row = await only_row(database, "apple_iap_subscriptions", given.tenant_id)
    assert given.apple_iap is not None
    assert row["original_transaction_id"] == given.apple_iap.original_transaction_id
    assert (row["product_id"], row["bundle_id"], row["environment"]) == ("com.example.pro", "com.example", "Sandbox")
    assert (row["app_account_token"], row["latest_transaction_id"], row["status"]) == (token, "42", "active")
    assert row["expires_at"].isoformat() == "2026-12-31T23:00:00+00:00"
    assert row["original_purchase_at"].isoformat() == "2026-11-30T22:00:00+00:00"
    assert (await only_row(database, "tenants", given.tenant_id))["billing_source"] == "apple_iap"


async def test_a_customer_without_a_subscription_is_written_alone(
    provisioning: ProvisioningActivities, database: asyncpg.Connection, management: ManagementTenant
) -> None:
    given = subscribed(management, stripeSubscriptionId=None, stripePriceId=None)
    await provisioning.provision_tenant(provision_input(given))
    await only_row(database, "stripe_customers", given.tenant_id)
    query = "SELECT count(*) FROM stripe_subscriptions WHERE tenant = $1"
    assert await database.fetchval(query, given.tenant_id) == 0


@ON_ONE_SHAPE
async def test_the_product_of_the_price_decides_the_plan_and_a_warning_says_so(
    provisioning: ProvisioningActivities, database: asyncpg.Connection, management: ManagementTenant
) -> None:
    given = subscribed(management, stripePriceId=management.solo, plan="pro")
    committed = await provisioning.provision_tenant(provision_input(given))
    assert (await only_row(database, "tenants", given.tenant_id))["plan"] == "solo"
    assert [(warning.code, warning.field) for warning in committed.warnings] == [("plan-of-price", "plan")]
    row = await operation_row(database, provision_input(given).operation.workflow_id)
    assert row is not None
    assert "plan-of-price" in row["warnings"]


async def test_the_item_of_a_subscription_is_stored_if_the_database_has_its_column(
    provisioning: ProvisioningActivities, database: asyncpg.Connection, management: ManagementTenant
) -> None:
    given = subscribed(management, stripeSubscriptionItemId="si_1")
    error = await error_of(provisioning.provision_tenant(provision_input(given)))
    assert details_of(error) == FailureDetails(step=VALIDATE, field="stripeSubscriptionItemId")
    assert "stripe_subscriptions.stripe_subscription_item_id" in error.message
    column = "stripe_subscription_item_id"
    async with changed(
        database,
        f"ALTER TABLE stripe_subscriptions ADD {column} text",
        f"ALTER TABLE stripe_subscriptions DROP {column}",
    ):
        await provisioning.provision_tenant(provision_input(given))
        assert (await only_row(database, "stripe_subscriptions", given.tenant_id))[column] == "si_1"


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ("stripe_customers", "stripeCustomerId"),
        ("stripe_prices", "stripePriceId"),
        ("stripe_subscriptions", "stripeSubscriptionId"),
        ("apple_iap_subscriptions", "appleIap"),
    ],
)
@ON_ONE_SHAPE
async def test_a_table_that_the_database_lacks_refuses_the_field_that_needs_it(
    provisioning: ProvisioningActivities,
    database: asyncpg.Connection,
    management: ManagementTenant,
    table: str,
    field: str,
) -> None:
    given = bought_in_an_app() if table.startswith("apple") else subscribed(management)
    async with changed(
        database, f"ALTER TABLE {table} RENAME TO elsewhere", f"ALTER TABLE elsewhere RENAME TO {table}"
    ):
        error = await error_of(provisioning.provision_tenant(provision_input(given)))
        await provisioning.provision_tenant(provision_input(request(uuid4())))
    assert (error.type, details_of(error).field) == ("invalid-request", field)
    assert f"no table {table}" in error.message


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"stripePriceId": "price_unknown"}, ("invalid-request", "stripePriceId")),
        ({"stripeBaseItemId": "si", "stripeBasePriceId": "price_unknown"}, ("invalid-request", "stripeBasePriceId")),
        ({"stripeCustomerId": None}, ("billing-incomplete", "stripeSubscriptionId")),
        ({"stripePriceId": None}, ("billing-incomplete", "stripeSubscriptionId")),
        ({"stripeSubscriptionId": None, "stripeBaseItemId": "si"}, ("billing-incomplete", "stripeBaseItemId")),
        ({"stripeBasePriceId": "price"}, ("billing-incomplete", "stripeBasePriceId")),
        ({"checkoutSessionId": "cs_1"}, ("invalid-request", "checkoutSessionId")),
        ({"stripeCustomerId": "cus 1"}, ("invalid-request", "stripeCustomerId")),
    ],
)
@ON_ONE_SHAPE
async def test_what_stripe_would_need_is_refused_by_name_and_nothing_is_written(
    provisioning: ProvisioningActivities,
    database: asyncpg.Connection,
    management: ManagementTenant,
    changes: dict[str, Any],
    refused: tuple[str, str],
) -> None:
    before = await everything(database)
    error = await error_of(provisioning.provision_tenant(provision_input(subscribed(management, **changes))))
    details = details_of(error)
    assert ((error.type, details.field), error.non_retryable, details.step) == (refused, True, VALIDATE)
    assert refused[1] in error.message
    assert await everything(database) == before


@ON_ONE_SHAPE
async def test_without_a_management_tenant_stripe_is_refused(
    engine: AsyncEngine, management: ManagementTenant
) -> None:
    error = await error_of(provisioning_on(engine).provision_tenant(provision_input(subscribed(management))))
    assert details_of(error).field == "stripeCustomerId"
    assert "MASTER_BILLING_TENANT_ID" in error.message


@ON_ONE_SHAPE
async def test_apple_needs_its_billing_source(provisioning: ProvisioningActivities) -> None:
    given = bought_in_an_app().model_copy(update={"billing_source": "stripe"})
    error = await error_of(provisioning.provision_tenant(provision_input(given)))
    assert (error.type, details_of(error).field) == ("billing-incomplete", "appleIap")


@pytest.mark.parametrize(
    ("seller", "field"), [("Stripe", "stripeSubscriptionId"), ("Apple", "appleIap.originalTransactionId")]
)
async def test_of_many_creations_at_once_for_one_subscription_one_wins(
    provisioning: ProvisioningActivities,
    database: asyncpg.Connection,
    management: ManagementTenant,
    seller: str,
    field: str,
) -> None:
    external_id = uuid4().hex
    rivals = [
        subscribed(management, stripeSubscriptionId=external_id)
        if seller == "Stripe"
        else bought_in_an_app(originalTransactionId=external_id)
        for _ in range(10)
    ]
    outcomes = await asyncio.gather(
        *(provisioning.provision_tenant(provision_input(rival)) for rival in rivals), return_exceptions=True
    )
    lost = [outcome for outcome in outcomes if isinstance(outcome, ApplicationError)]
    assert [(error.type, details_of(error).field) for error in lost] == [("duplicate-subscription", field)] * 9
    assert all(seller in error.message for error in lost)
    made = await database.fetch(
        "SELECT tenant FROM stripe_subscriptions WHERE stripe_subscription_external_id = $1"
        " UNION ALL SELECT tenant FROM apple_iap_subscriptions WHERE original_transaction_id = $1",
        external_id,
    )
    assert len(made) == 1
    query = "SELECT count(*) FROM tenants WHERE tenant = ANY($1)"
    assert await database.fetchval(query, [rival.tenant_id for rival in rivals]) == 1
