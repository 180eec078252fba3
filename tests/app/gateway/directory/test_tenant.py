"""One tenant: its document, and ids without one."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from tests.app.gateway.requests import assert_problem
from tests.app.gateway.rows import NOON, add_client, add_deletion, add_tenant, add_user, insert, record

pytestmark = pytest.mark.anyio


async def test_a_tenant_that_was_not_created_here_is_shown(
    shaped_http: httpx.AsyncClient, shaped_database: asyncpg.Connection
) -> None:
    name = f"Acme {uuid4()}"
    tenant_id = await add_tenant(shaped_database, name, plan="pro", licensed_user_count=7, product_code="algadesk")
    await add_client(shaped_database, tenant_id, "Customer", is_own=False)
    await add_client(shaped_database, tenant_id, "Acme Holding")
    for number in range(2):
        await add_user(shaped_database, tenant_id, first_name=str(number))
    await add_user(shaped_database, tenant_id, is_inactive=True)
    await add_user(shaped_database, tenant_id, user_type="client")
    await add_user(shaped_database, await add_tenant(shaped_database))
    found = await shaped_http.get(f"/tenants/{tenant_id}")
    assert found.status_code == 200, found.text
    path = f"/tenants/{tenant_id}"
    parts = ("users", "footprint", "suspension", "deletion")
    links = {
        "self": path,
        "operations": f"/operations?tenantId={tenant_id}",
        **{part: f"{path}/{part}" for part in parts},
    }
    summary = {
        "tenantId": str(tenant_id),
        "name": name,
        "companyName": "Acme Holding",
        "email": f"{tenant_id}@acme.example",
        "productCode": "algadesk",
        "plan": "pro",
        "state": "active",
        "licenseCount": 7,
        "userCount": 2,
        "createdAt": "2025-03-01T12:00:00Z",
        "links": links,
    }
    no_subscription = dict.fromkeys(("provider", "externalId", "status", "quantity", "periodEnd"))
    assert found.json() == {
        **summary,
        "suspendedAt": None,
        "subscription": {"billingSource": "stripe", **no_subscription},
        "addons": [],
        "operations": [],
        "deletion": None,
    }
    page = await shaped_http.get("/tenants", params={"search": name})
    assert page.json() == {"tenants": [summary], "nextPageToken": None}


async def test_the_newest_ten_operations_of_a_tenant_are_shown(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    done: dict[str, Any] = {"tenant_id": tenant_id, "status": "completed", "finished_at": NOON}
    made = [
        await record(database, workflow_id=f"of-tenant/{uuid4()}", started_at=NOON - timedelta(days=days), **done)
        for days in range(12)
    ]
    shown = (await http.get(f"/tenants/{tenant_id}")).json()["operations"]
    assert [operation["workflowId"] for operation in shown] == made[:10]
    assert shown[0] == {
        "workflowId": made[0],
        "kind": "tenant_creation",
        "status": "completed",
        "startedAt": "2025-03-01T12:00:00Z",
        "finishedAt": "2025-03-01T12:00:00Z",
        "link": f"/operations/{made[0].replace('/', '%2F')}",
    }


async def test_the_open_deletion_of_a_tenant_is_shown(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database)
    await add_deletion(database, tenant_id, deleted_at=NOON - timedelta(days=900))
    times = {name: NOON + timedelta(days=days) for name, days in (("requested_at", 0), ("scheduled_for", 36_500))}
    workflow_id = await add_deletion(
        database, tenant_id, "wait_grace_period", **times, confirmed_at=NOON, confirmed_by="key:b", reason="sold"
    )
    shown = (await http.get(f"/tenants/{tenant_id}")).json()
    assert shown["deletion"] == {
        "state": "deletion_scheduled",
        "reason": "sold",
        "requestedAt": "2025-03-01T12:00:00Z",
        "requestedBy": None,
        "confirmedAt": "2025-03-01T12:00:00Z",
        "confirmedBy": "key:b",
        "scheduledFor": "2125-02-05T12:00:00Z",
        "deletedAt": None,
        "link": f"/tenants/{tenant_id}/deletion",
    }
    assert workflow_id in [operation["workflowId"] for operation in shown["operations"]]


async def test_the_subscription_of_the_billing_source_and_addons_are_shown(
    shaped_http: httpx.AsyncClient, shaped_database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(shaped_database, billing_source="apple_iap")
    await insert(shaped_database, "tenant_addons", tenant=tenant_id, addon_key="teams", activated_at=NOON)
    await insert(
        shaped_database,
        "tenant_addons",
        tenant=tenant_id,
        addon_key="ai_assistant",
        activated_at=NOON,
        expires_at=NOON + timedelta(days=1),
    )
    for status, days in (("canceled", 90), ("trialing", 5), ("past_due", 10)):
        await add_stripe_subscription(shaped_database, tenant_id, status, NOON + timedelta(days=days))
    shown = (await shaped_http.get(f"/tenants/{tenant_id}")).json()
    assert shown["subscription"] == {
        "billingSource": "apple_iap",
        "provider": "stripe",
        "externalId": "sub-past_due",
        "status": "past_due",
        "quantity": 7,
        "periodEnd": "2025-03-11T12:00:00Z",
    }
    assert shown["addons"] == [
        {"addonKey": "ai_assistant", "activatedAt": "2025-03-01T12:00:00Z", "expiresAt": "2025-03-02T12:00:00Z"},
        {"addonKey": "teams", "activatedAt": "2025-03-01T12:00:00Z", "expiresAt": None},
    ]
    apple = {"product_id": "pro", "bundle_id": "psa", "environment": "Production", "status": "active"}
    await insert(
        shaped_database,
        "apple_iap_subscriptions",
        tenant=tenant_id,
        original_transaction_id="1000",
        expires_at=NOON,
        **apple,
    )
    shown = (await shaped_http.get(f"/tenants/{tenant_id}")).json()
    assert (shown["subscription"]["provider"], shown["subscription"]["externalId"]) == ("apple", "1000")
    assert (shown["subscription"]["quantity"], shown["subscription"]["status"]) == (None, "active")


async def add_stripe_subscription(
    database: asyncpg.Connection, tenant_id: UUID, status: str, period_end: datetime
) -> None:
    # Nothing here is about the customer, the price and the product that the subscription refers to.
    async with database.transaction():
        await database.execute("SET LOCAL session_replication_role = replica")
        await insert(
            database,
            "stripe_subscriptions",
            tenant=tenant_id,
            stripe_subscription_id=uuid4(),
            stripe_subscription_external_id=f"sub-{status}",
            stripe_customer_id=uuid4(),
            stripe_price_id=uuid4(),
            status=status,
            quantity=7,
            current_period_end=period_end,
        )


async def test_optional_fields_of_a_tenant_may_be_missing(
    shaped_http: httpx.AsyncClient, shaped_database: asyncpg.Connection
) -> None:
    found = (await shaped_http.get(f"/tenants/{await add_tenant(shaped_database)}")).json()
    absent = {"companyName": None, "plan": None, "licenseCount": None, "userCount": 0}
    assert {name: found[name] for name in absent} == absent


async def test_an_unknown_tenant_is_not_found(http: httpx.AsyncClient) -> None:
    assert_problem(await http.get(f"/tenants/{uuid4()}"), 404, "tenant-not-found")


@pytest.mark.parametrize("path_id", ["tenant-creation-1", "0" * 32, "urn:uuid:0f0e0d0c-0000-4000-8000-000000000000"])
async def test_an_id_that_is_not_a_uuid_names_the_path_of_operations(http: httpx.AsyncClient, path_id: str) -> None:
    response = await http.get(f"/tenants/{path_id}")
    assert_problem(response, 404, "tenant-not-found")
    assert f"/operations/{path_id.replace(':', '%3A')}" in response.json()["detail"]


@pytest.mark.parametrize("path_id", ["%00", "x" * 300, "%F0%9F%8E%84"])
async def test_any_other_id_is_not_found(http: httpx.AsyncClient, path_id: str) -> None:
    response = await http.get(f"/tenants/{path_id}")
    assert_problem(response, 404, "tenant-not-found")
    assert len(response.json()["detail"]) < 300
