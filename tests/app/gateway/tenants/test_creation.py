import re
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from temporalio.client import Client

from activities.alga.passwords import PasswordHasher
from app.settings import Settings
from app.temporal.operations import TemporalOperations
from tests.app.gateway.conftest import SECRET
from tests.app.gateway.requests import VISIBLE_PASSWORD, assert_problem, create, faults, tenant, tenant_with_admin
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys
from workflows.tenants.request import TenantCreationInput

pytestmark = pytest.mark.anyio


async def test_the_response_holds_the_operation_and_its_paths(http: httpx.AsyncClient) -> None:
    response = await http.post("/tenants", json=tenant())
    document = response.json()
    assert response.status_code == 202, response.text
    assert document["workflowId"] == f"tenant-creation-{UUID(document['tenantId'])}"
    assert document["status"] == "queued"
    assert document["cancellable"] is True
    assert document["links"] == {
        "self": f"/operations/{document['workflowId']}",
        "events": f"/operations/{document['workflowId']}/events",
        "cancel": f"/operations/{document['workflowId']}",
    }
    assert response.headers["location"] == document["links"]["self"]
    assert response.headers["retry-after"] == "1"
    assert response.headers["cache-control"] == "no-store"


async def test_the_steps_are_listed_before_the_first_one_starts(http: httpx.AsyncClient) -> None:
    document = await create(http)
    assert document["steps"][0]["name"] == "validate"
    assert {step["status"] for step in document["steps"]} == {"pending"}


async def test_the_caller_is_recorded_by_the_id_of_its_key(gateway: RunningGateway, keys: Keys) -> None:
    created = await keys.create("admin UI")
    async with gateway.client(**{"X-API-Key": created.key}) as http:
        assert (await create(http))["requestedBy"] == f"key:{created.record.key_id}"


async def test_snake_case_is_accepted_too(http: httpx.AsyncClient) -> None:
    admin = {"first_name": "Ada", "last_name": "Byron", "email": f"ada-{uuid4().hex}@acme.example"}
    await create(http, {"tenant_name": "Acme", "admin_user": admin, "contract_line": "Managed Services"})


async def test_the_workflow_gets_the_subscription(http: httpx.AsyncClient, temporal_client: Client) -> None:
    apple = {"originalTransactionId": "1", "productId": "p", "bundleId": "b", "environment": "Sandbox"}
    body = tenant(stripe_customer_id="cus_1", stripePriceId="price_1", stripeSubscriptionId="sub_1")
    body |= {"billingSource": "apple_iap", "appleIap": {**apple, "expires_at": "2026-12-31T00:00:00+01:00"}}
    handle = temporal_client.get_workflow_handle((await create(http, body))["workflowId"])
    payloads = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes.input.payloads
    (message,) = await temporal_client.data_converter.decode(payloads, [TenantCreationInput])
    assert (message.stripe_customer_id, message.stripe_price_id, message.stripe_subscription_id) == (
        "cus_1", "price_1", "sub_1",
    )  # fmt: skip
    assert (message.payer, message.apple_iap.expires_at) == ("apple_iap", "2026-12-31T00:00:00+01:00")


@pytest.mark.parametrize(
    ("changes", "code", "field", "said"),
    [
        ({"checkoutSessionId": "cs_1"}, "invalid-request", "checkoutSessionId", "send stripeCustomerId"),
        ({"stripeCustomerId": 5}, "invalid-request", "stripeCustomerId", "string"),
        ({"stripeSubscriptionId": "sub_1"}, "billing-incomplete", "stripeSubscriptionId", "stripePriceId"),
        ({"appleIap": {"productId": "p"}}, "invalid-request", "appleIap.originalTransactionId", "required"),
        ({"region": "eu"}, "invalid-request", "region", "unknown"),
        ({"contractLine": "No such line"}, "unknown-billing-plan", "billingPlan", "not one of"),
    ],
)
async def test_what_can_not_be_served_is_refused_by_name(
    http: httpx.AsyncClient, changes: dict[str, Any], code: str, field: str, said: str
) -> None:
    response = await http.post("/tenants", json=tenant(**changes))
    assert_problem(response, 422, code)
    assert said in faults(response)[field]


async def test_the_workflow_gets_a_hash_that_alga_accepts_and_no_password(
    http: httpx.AsyncClient, temporal_client: Client
) -> None:
    document = await create(http)
    handle = temporal_client.get_workflow_handle(document["workflowId"])
    history = await handle.fetch_history()
    assert VISIBLE_PASSWORD.encode() not in b"".join(event.SerializeToString() for event in history.events)
    payloads = history.events[0].workflow_execution_started_event_attributes.input.payloads
    (message,) = await temporal_client.data_converter.decode(payloads, [TenantCreationInput])
    assert PasswordHasher(SECRET).verify(VISIBLE_PASSWORD, message.admin_user.password_hash)


async def test_a_generated_password_is_returned(http: httpx.AsyncClient, temporal_client: Client) -> None:
    document = await create(http, tenant_with_admin(password=None))
    assert re.fullmatch(r"\S{20}", document["temporaryPassword"])
    history = await temporal_client.get_workflow_handle(document["workflowId"]).fetch_history()
    assert document["temporaryPassword"] not in str(history.events)


async def test_a_given_password_is_not_returned(http: httpx.AsyncClient) -> None:
    response = await http.post("/tenants", json=tenant())
    assert "temporaryPassword" not in response.json()
    assert VISIBLE_PASSWORD not in response.text


async def test_the_operation_has_a_row_before_a_worker_runs(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    document = await create(http, tenant(tenantName="Recorded at once"))
    row = await database.fetchrow(
        "SELECT * FROM alga_tenants.operations WHERE workflow_id = $1", document["workflowId"]
    )
    assert (row["status"], row["tenant_name"], row["requested_by"]) == (
        "queued",
        "Recorded at once",
        document["requestedBy"],
    )
    assert row["run_id"]


async def test_a_given_tenant_id_is_used(http: httpx.AsyncClient) -> None:
    tenant_id = str(uuid4())
    assert (await create(http, tenant(tenantId=tenant_id)))["tenantId"] == tenant_id


async def test_a_tenant_id_of_another_operation_is_rejected(http: httpx.AsyncClient) -> None:
    tenant_id = str(uuid4())
    await create(http, tenant(tenantId=tenant_id))
    response = await http.post("/tenants", json=tenant(tenantId=tenant_id))
    assert_problem(response, 409, "tenant-exists")
    assert list(faults(response)) == ["tenantId"]


async def test_the_id_of_an_existing_tenant_is_rejected_and_nothing_is_started(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    tenant_id = uuid4()
    await database.execute(
        "INSERT INTO tenants (tenant, client_name, email, billing_source, product_code)"
        " VALUES ($1, 'Theirs', 'a@b.example', 'manual', 'psa')",
        tenant_id,
    )
    response = await http.post("/tenants", json=tenant(tenantId=str(tenant_id)))
    assert_problem(response, 409, "tenant-exists")
    assert (await http.get(f"/operations/tenant-creation-{tenant_id}")).status_code == 404


async def test_a_tenant_id_whose_workflow_id_is_taken_is_rejected(
    http: httpx.AsyncClient, temporal_client: Client
) -> None:
    tenant_id = uuid4()
    await temporal_client.start_workflow("theirs", id=f"tenant-creation-{tenant_id}", task_queue="theirs")
    assert_problem(await http.post("/tenants", json=tenant(tenantId=str(tenant_id))), 409, "tenant-exists")


@pytest.mark.parametrize(
    ("product", "known"), [("psa", "Managed Services"), ("algadesk", "Help Desk")], ids=["psa", "algadesk"]
)
async def test_the_billing_plan_must_be_in_the_blueprint_of_the_product(
    http: httpx.AsyncClient, product: str, known: str
) -> None:
    assert await create(http, tenant(productCode=product, billingPlan=known))
    response = await http.post("/tenants", json=tenant(productCode=product, billingPlan="Platinum"))
    assert_problem(response, 422, "unknown-billing-plan")
    assert known in faults(response)["billingPlan"]


@pytest.mark.parametrize(
    ("preference", "applied"),
    [
        ("wait=1", "wait=1"),
        ("respond-async, wait=1", "wait=1"),
        ('handling="lenient, strict", WAIT = "1"', "wait=1"),
        ("wait=soon", None),
        ("wait=-1", None),
        ("wait", None),
        ("=,;", None),
    ],
)
async def test_the_preference_to_wait_follows_rfc_7240(
    http: httpx.AsyncClient, preference: str, applied: str | None
) -> None:
    response = await http.post("/tenants", json=tenant(), headers={"Prefer": preference})
    assert response.status_code == 202, "no worker runs, so nothing is complete"
    assert response.headers.get("preference-applied") == applied


async def test_a_wait_of_a_second_is_one_poll(
    http: httpx.AsyncClient, settings: Settings, temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow_id = (await create(http))["workflowId"]
    poll = temporal_client.workflow_service.get_workflow_execution_history
    polls = []

    async def record(*arguments: Any, **options: Any) -> Any:
        polls.append(arguments)
        return await poll(*arguments, **options)

    monkeypatch.setattr(temporal_client.workflow_service, "get_workflow_execution_history", record)
    await TemporalOperations(temporal_client, settings).wait(workflow_id, 1)
    assert len(polls) == 1


async def test_waiting_ends_after_the_requested_time(http: httpx.AsyncClient) -> None:
    response = await http.post("/tenants", json=tenant(), headers={"Prefer": "wait=1"})
    assert 1.0 <= response.elapsed.total_seconds() < 5
