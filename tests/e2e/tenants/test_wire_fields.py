"""Every field that Alga's client may send is stored, or refused by name, and never dropped silently."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from pydantic import BaseModel
from temporalio.client import Client, WorkflowHandle

from activities.alga.passwords import PasswordHasher
from app.embedded.temporal import EmbeddedTemporal
from tests.e2e.conftest import MANAGEMENT_TENANT, SECRET, Service
from tests.support.tenants.stripe import ManagementTenant, insert_management_tenant
from workflows.tenants.request import AdminUser, AppleIap, BillingAddress, TenantCreationInput

pytestmark = pytest.mark.anyio

PASSWORD = "securePassword123!"
TENANT_ID = uuid4()
# Named in requests before the ids of the database are known.
PRO, BASE = "the price of the product", "the price of the base fee"
STRIPE = {"stripeCustomerId": "cus_1", "stripePriceId": PRO, "stripeSubscriptionId": "sub_1"}
APPLE = {
    "originalTransactionId": "2000000123",
    "productId": "com.example.pro",
    "bundleId": "com.example",
    "environment": "Sandbox",
    "appAccountToken": str(uuid4()),
    "latestTransactionId": "2000000124",
    "expiresAt": "2026-12-31T00:00:00Z",
    "originalPurchaseAt": "2026-11-29T00:00:00Z",
}
ADDRESS = {
    "line1": "1 Main Street",
    "line2": "Floor 2",
    "city": "Springfield",
    "state": "IL",
    "postalCode": "62701",
    "countryCode": "us",
    "phone": "+1 217 555 0100",
}
PARTS: dict[str, type[BaseModel]] = {
    "adminUser": AdminUser,
    "billingAddress": BillingAddress,
    "appleIap": AppleIap,
}
# Ours, or another name of Alga's `contractLine`.
NOT_ALGAS = {"origin", "billingPlan", "adminUser.passwordHash", "portalUser"}


@dataclass(frozen=True)
class Stored:
    """A field whose value is in a column of the new tenant; `beside` are the fields that it is sent with."""

    value: Any
    place: str
    expected: Any = None
    beside: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A field that fails the creation, which names it."""

    value: Any
    beside: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Skips:
    """A field that skips a step."""

    step: str


def of_stripe(value: str, column: str, **beside: str) -> Stored:
    return Stored(value, f"stripe_subscriptions.{column}", beside={**STRIPE, **beside})


def of_address(name: str, column: str, expected: Any = None) -> Stored:
    return Stored(ADDRESS[name], f"client_locations.{column}", expected)


def of_apple(name: str, column: str, expected: Any = None) -> Stored:
    bought = {**APPLE, "originalTransactionId": f"bought-for-{name}"}
    beside = {"billingSource": "apple_iap", "appleIap": bought}
    return Stored(APPLE[name], f"apple_iap_subscriptions.{column}", expected, beside)


FIELDS: dict[str, Stored | Refused | Skips] = {
    "tenantName": Stored("Wired", "tenants.client_name"),
    "companyName": Stored("Wired Corp", "tenants.client_name"),
    "clientName": Stored("Wired Client", "clients.client_name"),
    "tenantId": Stored(str(TENANT_ID), "tenants.tenant", TENANT_ID),
    "adminUser.firstName": Stored("Ada", "users.first_name"),
    "adminUser.lastName": Stored("Byron", "users.last_name"),
    "adminUser.email": Stored("Ada.Wired@Direct.example", "users.email", "ada.wired@direct.example"),
    "adminUser.password": Stored(PASSWORD, "users.hashed_password"),
    "contractLine": Stored("managed services", "contract_line_presets.preset_name", "Managed Services"),
    "emailProvider": Stored("smtp", "tenant_email_settings.email_provider"),
    "licenseCount": Stored(7, "tenants.licensed_user_count"),
    "productCode": Stored("algadesk", "tenants.product_code"),
    "plan": Stored("solo", "tenants.plan"),
    "billingSource": Stored("manual", "tenants.billing_source"),
    "addons": Stored(["teams"], "tenant_addons.addon_key", "teams"),
    "billingAddress.line1": of_address("line1", "address_line1"),
    "billingAddress.line2": of_address("line2", "address_line2"),
    "billingAddress.city": of_address("city", "city"),
    "billingAddress.state": of_address("state", "state_province"),
    "billingAddress.postalCode": of_address("postalCode", "postal_code"),
    "billingAddress.countryCode": of_address("countryCode", "country_code", "US"),
    "billingAddress.phone": of_address("phone", "phone"),
    "stripeCustomerId": Stored("cus_1", "stripe_customers.stripe_customer_external_id"),
    "stripeSubscriptionId": of_stripe("sub_1", "stripe_subscription_external_id"),
    "stripePriceId": of_stripe(PRO, "stripe_price_id", stripeSubscriptionId="sub_2"),
    "stripeBaseItemId": of_stripe("si_3", "stripe_base_item_id", stripeSubscriptionId="sub_3"),
    "stripeBasePriceId": of_stripe(
        BASE, "stripe_base_price_id", stripeSubscriptionId="sub_4", stripeBaseItemId="si_4"
    ),
    # Only production has a column for it.
    "stripeSubscriptionItemId": Refused("si_5", {**STRIPE, "stripeSubscriptionId": "sub_5"}),
    "checkoutSessionId": Refused("cs_1"),
    "appleIap.originalTransactionId": of_apple("originalTransactionId", "original_transaction_id"),
    "appleIap.productId": of_apple("productId", "product_id"),
    "appleIap.bundleId": of_apple("bundleId", "bundle_id"),
    "appleIap.environment": of_apple("environment", "environment"),
    "appleIap.appAccountToken": of_apple("appAccountToken", "app_account_token", UUID(APPLE["appAccountToken"])),
    "appleIap.latestTransactionId": of_apple("latestTransactionId", "latest_transaction_id"),
    "appleIap.expiresAt": of_apple("expiresAt", "expires_at", datetime(2026, 12, 31, tzinfo=UTC)),
    "appleIap.originalPurchaseAt": of_apple(
        "originalPurchaseAt", "original_purchase_at", datetime(2026, 11, 29, tzinfo=UTC)
    ),
    "skipCustomerTracking": Skips("track_customer"),
    "skipWelcomeEmail": Skips("send_welcome_email"),
}


@pytest.fixture(scope="module")
async def management(running: Service) -> ManagementTenant:
    connection = await asyncpg.connect(running.installation.admin_database_url)
    try:
        return await insert_management_tenant(connection, MANAGEMENT_TENANT)
    finally:
        await connection.close()


async def start(
    service: Service, temporal: EmbeddedTemporal, document: Mapping[str, Any]
) -> WorkflowHandle[Any, Any]:
    """Start a creation as Alga's client does."""
    client = await Client.connect(temporal.address)
    return await client.start_workflow(
        "tenantCreationWorkflow", document, id=f"tenant-creation-{uuid4().hex}", task_queue=service.task_queue
    )


def sent(name: str, value: Any, beside: Mapping[str, Any], management: ManagementTenant) -> dict[str, Any]:
    """Return a request with one field of interest."""
    admin = {
        "firstName": "Grace",
        "lastName": "Hopper",
        "email": f"{uuid4().hex}@direct.example",
        "password": PASSWORD,
    }
    # Each name can be tracked once.
    document: dict[str, Any] = {"tenantName": "Direct", "adminUser": admin, "skipCustomerTracking": True, **beside}
    *parents, last = name.split(".")
    part = document
    for parent in parents:
        part[parent] = part = {**part.get(parent, {})}
    part[last] = value
    prices = {PRO: management.pro, BASE: management.base}
    return {key: prices.get(given, given) if isinstance(given, str) else given for key, given in document.items()}


def test_every_field_of_the_input_is_here() -> None:
    known = {info.alias for info in TenantCreationInput.model_fields.values()} - PARTS.keys()
    known |= {f"{name}.{info.alias}" for name, part in PARTS.items() for info in part.model_fields.values()}
    assert FIELDS.keys() == known - NOT_ALGAS | {"contractLine"}


@pytest.mark.parametrize("name", FIELDS)
async def test_a_field_is_stored_or_refused_by_name(
    service: Service,
    database: asyncpg.Connection,
    temporal: EmbeddedTemporal,
    management: ManagementTenant,
    name: str,
) -> None:
    case = FIELDS[name]
    value = True if isinstance(case, Skips) else case.value
    beside = {} if isinstance(case, Skips) else case.beside
    handle = await start(service, temporal, sent(name, value, beside, management))
    document = await service.finished(handle.id)
    if isinstance(case, Refused):
        assert document["status"] == "failed"
        assert [fault["field"] for fault in document["error"]["errors"]] == [name]
        return
    assert (document["status"], document["warnings"]) == ("completed", []), document
    if isinstance(case, Skips):
        assert {step["name"]: step["status"] for step in document["steps"]}[case.step] == "skipped"
        return
    table, _, column = case.place.partition(".")
    query = f"SELECT {column} FROM {table} WHERE tenant = $1"  # noqa: S608 - names of ours
    stored = [row[0] for row in await database.fetch(query, UUID(document["tenantId"]))]
    if name == "adminUser.password":
        assert PasswordHasher(SECRET).verify(PASSWORD, stored[0])
        return
    prices = {PRO: management.pro, BASE: management.base}
    if isinstance(value, str) and value in prices:
        assert stored == [await management.price_id(database, prices[value])]
        return
    assert stored == [value if case.expected is None else case.expected]


async def test_an_unknown_field_is_ignored_with_a_warning(
    service: Service, database: asyncpg.Connection, temporal: EmbeddedTemporal, management: ManagementTenant
) -> None:
    document = sent("region", "eu", {"trial": None, "tenant_name": "Twice"}, management)
    document["adminUser"]["locale"] = "de"
    handle = await start(service, temporal, document)
    shown = await service.finished(handle.id)
    assert shown["status"] == "completed"
    assert {(warning["code"], warning["field"]) for warning in shown["warnings"]} == {
        ("unknown-field", "region"), ("unknown-field", "tenant_name"), ("unknown-field", "adminUser.locale"),
    }  # fmt: skip
    row = "SELECT warnings::text FROM alga_tenants.operations WHERE workflow_id = $1"
    assert "adminUser.locale" in await database.fetchval(row, handle.id)


async def test_a_flood_of_unknown_fields_is_named_in_part(
    service: Service, temporal: EmbeddedTemporal, management: ManagementTenant
) -> None:
    unknown = {f"\0field {number:03}" + "x" * 500: number for number in range(60)}
    handle = await start(service, temporal, sent("plan", "pro", unknown, management))
    warnings = (await service.finished(handle.id))["warnings"]
    assert len(warnings) == 21
    assert all(len(warning["field"]) <= 100 and "\0" not in warning["field"] for warning in warnings[:-1])
    assert warnings[-1]["detail"] == "40 further unknown fields were ignored"


async def test_an_unknown_contract_line_is_a_warning_and_the_tenant_is_made_without_it(
    service: Service, database: asyncpg.Connection, temporal: EmbeddedTemporal, management: ManagementTenant
) -> None:
    handle = await start(service, temporal, sent("contractLine", "No such line", {}, management))
    document = await service.finished(handle.id)
    assert document["status"] == "completed"
    [warning] = document["warnings"]
    assert (warning["code"], warning["field"]) == ("unknown-billing-plan", "billingPlan")
    query = "SELECT count(*) FROM contract_line_presets WHERE tenant = $1"
    assert await database.fetchval(query, UUID(document["tenantId"])) == 0


async def test_stripe_pays_unless_the_client_says_otherwise(
    service: Service, database: asyncpg.Connection, temporal: EmbeddedTemporal, management: ManagementTenant
) -> None:
    handle = await start(service, temporal, sent("plan", "pro", {}, management))
    query = "SELECT billing_source FROM tenants WHERE tenant = $1"
    assert await database.fetchval(query, UUID((await service.finished(handle.id))["tenantId"])) == "stripe"
    assert await database.fetchval(query, UUID((await service.provision())["tenantId"])) == "manual"


async def test_a_subscription_makes_one_tenant(
    service: Service, database: asyncpg.Connection, temporal: EmbeddedTemporal, management: ManagementTenant
) -> None:
    subscription = f"sub_{uuid4().hex}"
    given: dict[str, Any] = {**STRIPE, "stripePriceId": management.pro, "stripeSubscriptionId": subscription}
    handles = [
        await start(service, temporal, sent("stripeSubscriptionId", subscription, given, management))
        for _ in range(4)
    ]
    asked = [(await service.create(**given | {"stripeSubscriptionId": subscription}))["workflowId"] for _ in range(4)]
    ended = [await service.finished(workflow_id) for workflow_id in [*(handle.id for handle in handles), *asked]]
    assert [document["status"] for document in ended].count("completed") == 1
    assert {document["error"]["code"] for document in ended if document["error"]} == {"duplicate-subscription"}
    assert {document["error"]["status"] for document in ended if document["error"]} == {409}
    query = "SELECT count(*) FROM stripe_subscriptions WHERE stripe_subscription_external_id = $1"
    assert await database.fetchval(query, subscription) == 1


async def test_a_start_without_a_password_is_refused_if_no_link_can_be_mailed(
    service: Service, temporal: EmbeddedTemporal, management: ManagementTenant
) -> None:
    handle = await start(service, temporal, sent("adminUser.password", None, {}, management))
    document = await service.finished(handle.id)
    assert document["status"] == "failed"
    assert [fault["field"] for fault in document["error"]["errors"]] == ["adminUser.password"]
    assert "ALGA_SECRET_KEY" in document["error"]["detail"]
